"""Running the charter's gates: what is measured, by whom, and the signed evidence of it."""

"""Pages that show what happened: the report of a run."""

"""A member's own model, trained on from a shared one at home, on text that never leaves."""

"""A member: reads its own text, trains, sends updates, measures. Nothing of its text leaves."""

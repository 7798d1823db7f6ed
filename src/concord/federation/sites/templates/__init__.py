"""Files for service managers, filled in by `unit`."""

"""What the members agreed: here, the run document and the schedules that follow from it."""

"""Fakes that implement the real interfaces, for our tests and for those of our users."""

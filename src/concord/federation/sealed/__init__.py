"""Sealed mode in a federation: what a member keeps on disk so that nothing happens twice."""

"""Papers of a release: rendered from the log and the records, none by hand; what is missing is
said to be missing."""

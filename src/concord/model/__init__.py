"""The network from the run document: build, load, save, generate."""

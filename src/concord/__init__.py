"""Concord: nations jointly pre-train one open language model; text never leaves its member."""

__version__ = "0.1.0"

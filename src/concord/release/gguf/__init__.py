"""A model as one GGUF file, for llama.cpp and what is built on it: laptops, phones, no Python."""

from concord.release.gguf.export import Origin, export_gguf
from concord.release.gguf.kinds import KINDS, Kind, kind_named

__all__ = ["KINDS", "Kind", "Origin", "export_gguf", "kind_named"]

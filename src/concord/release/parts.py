"""Which files of a release serve which use, so that nobody has to fetch what it does not need."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from concord.base.errors import DocumentError

TOKENIZER = (
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
NETWORK = ("config.json", "generation_config.json", "model*.safetensors", "model*.json")
GGUF = "gguf"
PARTS = ("weights", "tokenizer", "papers", "gguf", "gguf-f16", "gguf-q8", "gguf-q4")
"""`weights` is all that `transformers` needs, tokenizer included; `papers` is all but models."""


def in_part(path: str, part: str) -> bool:
    """Whether a file of a release belongs to a part."""
    network, tokenizer = _matches(path, NETWORK), _matches(path, TOKENIZER)
    gguf = path.startswith(f"{GGUF}/")
    match part:
        case "weights":
            return network or tokenizer
        case "tokenizer":
            return tokenizer
        case "papers":
            return not (network or tokenizer or gguf)
        case "gguf":
            return gguf
        case _:
            return gguf and fnmatchcase(path, f"*{part.removeprefix('gguf')}*.gguf")


def chosen(files: Iterable[str], only: Iterable[str]) -> list[str]:
    """The files of a release that are wanted; all if nothing is named.

    Args:
        only: Parts, or paths.

    Raises:
        DocumentError: one is neither, or has no file in this release.
    """
    there, wanted = sorted(files), list(only)
    if not wanted:
        return there
    found: set[str] = set()
    for name in wanted:
        named = {path for path in there if path == name or (name in PARTS and in_part(path, name))}
        if not named:
            raise DocumentError(
                f"this release has nothing under {name[:80]!r}",
                where="--only",
                remedy=f"name a file of its manifest, or one of {', '.join(PARTS)}",
            )
        found |= named
    return sorted(found)


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)

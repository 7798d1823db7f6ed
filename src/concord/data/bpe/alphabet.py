"""Symbols before any merge: the end token and the 256 bytes, each with its number and its letter.

Numbers are those that the `tokenizers` trainer gives: 0 for the special token, then the bytes
in the order of their letters, then merges in the order in which they are made. Letters are
GPT-2's: a printable byte is its own letter, every other byte one from U+0100 on.
"""

from __future__ import annotations

import numpy as np

END_ID = 0
FIRST_MERGE_ID = 257
"""Numbers below are the end token and the bytes."""

_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))


def _letters() -> tuple[str, ...]:
    others = [byte for byte in range(256) if byte not in _PRINTABLE]
    as_letter = {byte: chr(byte) for byte in _PRINTABLE}
    as_letter |= {byte: chr(0x100 + rank) for rank, byte in enumerate(others)}
    return tuple(as_letter[byte] for byte in range(256))


BYTE_LETTERS = _letters()
"""The letter of each byte value."""
BYTES_BY_ID = tuple(bytes([b]) for b in sorted(range(256), key=BYTE_LETTERS.__getitem__))
"""The byte behind number 1, 2, … 256."""
ID_OF_BYTE = np.zeros(256, dtype=np.int32)
"""The number of each byte value."""
ID_OF_BYTE[[b[0] for b in BYTES_BY_ID]] = np.arange(1, 257)


def as_letters(text: bytes) -> str:
    """Spell bytes in the letters that `tokenizer.json` uses."""
    return "".join(BYTE_LETTERS[byte] for byte in text)

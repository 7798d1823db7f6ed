"""Text from elsewhere made safe for a terminal: nothing that is shown can steer it."""

from __future__ import annotations

import unicodedata

KEPT = frozenset("\n\t")
REPLACEMENT = "\ufffd"
TURNING = frozenset("\u061c\u200e\u200f") | {
    chr(code)
    for first, last in ((0x202A, 0x202E), (0x2066, 0x2069))
    for code in range(first, last + 1)
}
"""Marks that turn the direction of text: with them a line reads as what was never written."""


def printable(text: str) -> str:
    """`text` without control characters other than line ends and tabs, and without turning marks.

    Other format characters such as the joiners of Tamil or Persian stay. Bytes of a file name that
    are no UTF-8 show as replacement characters.
    """
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in TURNING:
        return ""
    match unicodedata.category(character):
        case "Cc":
            return character if character in KEPT else ""
        case "Cs":
            return REPLACEMENT
        case _:
            return character

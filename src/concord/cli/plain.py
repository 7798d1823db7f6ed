"""Text from elsewhere made safe for a terminal: nothing that is shown can steer it."""

from __future__ import annotations

import unicodedata

KEPT = frozenset("\n\t")
REPLACEMENT = "\ufffd"


def printable(text: str) -> str:
    """`text` without control characters other than line ends and tabs.

    Format characters such as the joiners of Tamil or Persian stay. Bytes of a file name that are no
    UTF-8 show as replacement characters.
    """
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    match unicodedata.category(character):
        case "Cc":
            return character if character in KEPT else ""
        case "Cs":
            return REPLACEMENT
        case _:
            return character

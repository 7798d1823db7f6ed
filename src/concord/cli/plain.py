"""Text from elsewhere made safe for a terminal: nothing that is shown can steer it."""

from __future__ import annotations

import unicodedata

KEPT = frozenset("\n\t")


def printable(text: str) -> str:
    """`text` without control characters other than line ends and tabs.

    Format characters such as the joiners of Tamil or Persian stay.
    """
    return "".join(c for c in text if c in KEPT or unicodedata.category(c) not in ("Cc", "Cs"))

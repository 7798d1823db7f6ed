"""One document of a member's text, and the name it has when its source gives it none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

MAX_DOCUMENT_BYTES = 64 << 20
"""Longest line or value a reader accepts; a guard on memory, far above any book."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document; `id` and `lang` are empty where the source names none."""

    id: str
    text: str
    lang: str = ""


def content_id(text: str) -> str:
    """Name a document by what it says.

    A position in a file would change when a document is inserted before it, and with it the side
    of the held-out split; the content stays what it is when files are added, moved or renamed.
    """
    return "text:" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

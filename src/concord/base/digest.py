"""SHA-256 digests in the form `sha256:<64 hex digits>`, the address of every object."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from concord.base.canonical import Json, canonical_json
from concord.base.errors import DocumentError

Digest = str
_PATTERN = re.compile(r"sha256:[0-9a-f]{64}")


def digest_bytes(data: bytes | memoryview) -> Digest:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_json(value: Json) -> Digest:
    """Digest of the canonical JSON of `value`."""
    return digest_bytes(canonical_json(value))


def digest_file(path: Path) -> Digest:
    with path.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()


def check_digest(text: str, *, where: object = None) -> Digest:
    """Return `text` if it has the form of a digest.

    Raises:
        DocumentError: it has not.
    """
    if not _PATTERN.fullmatch(text):
        raise DocumentError(f"{text[:80]!r} is not a digest of the form sha256:<hex>", where=where)
    return text

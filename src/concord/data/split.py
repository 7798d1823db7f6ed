"""Which documents are held out: a keyed hash of the document's id, compared with a share."""

from __future__ import annotations

import hashlib

from concord.base.errors import DocumentError

MIN_KEY_BYTES = 16
_PERSON = b"concord-heldout"


class HeldoutSplit:
    """Holds out a share of documents, each decided by its own id and the member's secret key.

    A document stays on its side whatever else comes or goes; a larger share only adds to what is
    held out; without the key nobody can tell, or choose, the side of a document.

    Args:
        key: The member's secret, 16 to 64 bytes.
        share: Expected share of documents held out, 0 to 1.

    Raises:
        DocumentError: key or share is out of range.
    """

    def __init__(self, key: bytes, share: float) -> None:
        if not MIN_KEY_BYTES <= len(key) <= hashlib.blake2b.MAX_KEY_SIZE:
            raise DocumentError(
                f"a split key of {len(key)} bytes", remedy="use 16 to 64 random bytes"
            )
        if not 0 <= share <= 1:
            raise DocumentError(f"a held-out share of {share}", remedy="use a share from 0 to 1")
        self._keyed = hashlib.blake2b(digest_size=8, key=key, person=_PERSON)
        self._bound = int(share * 2**64)

    def holds_out(self, document_id: str) -> bool:
        keyed = self._keyed.copy()
        keyed.update(document_id.encode())
        return int.from_bytes(keyed.digest(), "big") < self._bound

    def fingerprint(self) -> str:
        """A name for this key and share that gives neither key nor split away."""
        keyed = self._keyed.copy()
        keyed.update(b"\x00fingerprint" + self._bound.to_bytes(9, "big"))
        return keyed.hexdigest()

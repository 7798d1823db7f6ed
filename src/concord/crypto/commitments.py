"""A commitment to documents that stay secret: a Merkle tree (RFC 6962) over salted leaves.

    salt_i = HMAC-SHA-256(secret, id_i)            id_i: the document's name, UTF-8
    leaf_i = SHA-256(00 || salt_i || document_i)
    root   = root of the leaves, as of a log's entries

The root is public. Without the salt nobody can test a guess of a document against it; with the salt
and a path one document is opened, and no other. It shows neither that a model was trained on the
documents, nor that it was trained on nothing else.
"""

from __future__ import annotations

import hmac

from concord.base.errors import CryptoError
from concord.crypto.merkle import (
    HASH_BYTES,
    inclusion_path,
    leaf_hash,
    root_of_leaves,
    verify_inclusion,
)

SECRET_BYTES = 32
SALT_BYTES = 32


def document_salt(secret: bytes, document_id: str) -> bytes:
    """The salt of a document.

    Raises:
        CryptoError: the secret is too short to be one.
    """
    if len(secret) < SECRET_BYTES:
        raise CryptoError(f"a secret of {len(secret)} bytes; {SECRET_BYTES} are needed")
    return hmac.digest(secret, document_id.encode("utf-8", "surrogatepass"), "sha256")


def document_leaf(salt: bytes, document: bytes) -> bytes:
    """The leaf of a document."""
    return leaf_hash(salt + document)


class Leaves:
    """The leaves of a commitment, in order.

    Args:
        data: Hashes of 32 bytes, one after the other.

    Raises:
        CryptoError: `data` is no whole number of hashes.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) % HASH_BYTES:
            raise CryptoError(f"{len(data)} bytes are no whole number of hashes")
        self._data = data

    def __len__(self) -> int:
        return len(self._data) // HASH_BYTES

    def __getitem__(self, index: int) -> bytes:
        return self._data[index * HASH_BYTES : (index + 1) * HASH_BYTES]

    def root(self) -> bytes:
        return self._root_of(0, len(self))

    def path(self, index: int) -> list[bytes]:
        """Hashes that lead from a leaf to the root; takes as many hashes as there are leaves.

        Raises:
            LogError: there is no such leaf.
        """
        return inclusion_path(self._subtree, index, len(self))

    def _subtree(self, level: int, index: int) -> bytes:
        return self._root_of(index << level, (index + 1) << level)

    def _root_of(self, begin: int, end: int) -> bytes:
        return root_of_leaves(self[index] for index in range(begin, end))


def check_opening(
    document: bytes, *, salt: bytes, index: int, size: int, path: list[bytes], root: bytes
) -> None:
    """Check that `document` is number `index` of those that `root` commits to.

    Raises:
        LogCorrupt: it is not, or the salt is another.
        CryptoError: the salt is of another length.
    """
    if len(salt) != SALT_BYTES:
        raise CryptoError(f"a salt of {len(salt)} bytes; {SALT_BYTES} are needed")
    verify_inclusion(document_leaf(salt, document), index, size, path, root)

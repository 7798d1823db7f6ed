"""Objects addressed by digest: bases, updates, tokenizers, evidence, in a plain folder.

`objects/sha256/ab/cdef…` holds the bytes whose SHA-256 is `abcdef…`. An object never changes and
is written whole or not at all, so any file host can serve the folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from concord.base.digest import Digest, check_digest, digest_bytes, digest_file
from concord.base.errors import CheckpointError
from concord.base.files import storage_errors, sync_file, sync_folder, write_atomic

MAX_WHOLE_BYTES = 1 << 28
"""No more of an object is read into memory at once; larger ones are read as files."""


class ObjectStore:
    """A folder of immutable blobs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: Digest) -> Path:
        """Where the object lies, or would lie."""
        algorithm, _, hex_digits = check_digest(digest).partition(":")
        return self.root / algorithm / hex_digits[:2] / hex_digits[2:]

    def __contains__(self, digest: Digest) -> bool:
        return self.path(digest).exists()

    def put(self, data: bytes) -> Digest:
        """Store `data`; storing it again changes nothing."""
        digest = digest_bytes(data)
        target = self._prepared(digest)
        if not target.exists():
            write_atomic(target, data)
        return digest

    def adopt(self, path: Path, digest: Digest) -> Path:
        """Move the finished file at `path`, whose digest the caller knows, into the store."""
        target = self._prepared(digest)
        with storage_errors(target):
            # What came over a connection was neither synced nor readable by others until now.
            sync_file(path)
            path.chmod(0o644)
            os.replace(path, target)
            sync_folder(target.parent)
        return target

    def get(self, digest: Digest, *, max_bytes: int = MAX_WHOLE_BYTES) -> bytes:
        """Read an object and check it.

        Raises:
            CheckpointError: it is missing, larger than `max_bytes`, or its bytes do not match its
                digest.
        """
        path = self.path(digest)
        try:
            with path.open("rb") as stream:
                data = stream.read(max_bytes + 1)
        except OSError as error:
            raise _missing(path) from error
        if len(data) > max_bytes:
            raise CheckpointError(f"object is over the limit of {max_bytes:,} bytes", where=path)
        if digest_bytes(data) != digest:
            raise _altered(path)
        return data

    def verified_path(self, digest: Digest) -> Path:
        """Path of an object after its bytes were checked.

        Raises:
            CheckpointError: it is missing, or its bytes do not match its digest.
        """
        path = self.path(digest)
        if not path.exists():
            raise _missing(path)
        if digest_file(path) != digest:
            raise _altered(path)
        return path

    def discard(self, digest: Digest) -> None:
        """Remove an object that nothing refers to any more."""
        self.path(digest).unlink(missing_ok=True)

    def _prepared(self, digest: Digest) -> Path:
        target = self.path(digest)
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        return target


def _missing(path: Path) -> CheckpointError:
    return CheckpointError("object is missing", where=path, remedy="restore it from a copy")


def _altered(path: Path) -> CheckpointError:
    return CheckpointError(
        "object was altered: its bytes do not match its digest",
        where=path,
        remedy="restore it from a copy, or delete it to resume from an earlier round",
    )

"""Files that are written whole or not at all, and private folders."""

from __future__ import annotations

import errno
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from concord.base.errors import StorageError

_NAMING = threading.Lock()
"""Held while a file gets a name: so a thread that ends the process can see all that are there."""


def name_no_more() -> None:
    """From now on no file gets a name in this process; whoever writes one waits for the end.

    For a thread that removes what others were about to write, and then ends the process.
    """
    _NAMING.acquire()


@contextmanager
def atomic_file(
    path: Path, *, mode: int = 0o644, sync_name: bool = True, durable: bool = True
) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success sync it and move it into place.

    After a crash at any instant `path` holds either its old bytes or all of the new ones. Without
    `sync_name` the caller owes a `sync_folder` before it relies on the new ones. What nobody needs
    after a power cut need not be `durable`, and does not wait for the disk at all.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with storage_errors(path):
            with _NAMING:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
                stream.flush()
                if durable:
                    os.fsync(stream.fileno())
            with _NAMING:
                os.replace(temporary, path)
            if durable and sync_name:
                sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A name beside `path` for a library that opens files itself; see `atomic_file`.

    Raises:
        StorageError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with storage_errors(path):
            yield temporary
            sync_file(temporary)
            with _NAMING:
                os.replace(temporary, path)
            sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644, sync_name: bool = True) -> None:
    """Write `data` to `path`, whole or not at all; see `atomic_file`."""
    with atomic_file(path, mode=mode, sync_name=sync_name) as stream:
        stream.write(data)


def write_new(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write `data` to a `path` that must not exist yet, whole or not at all.

    Raises:
        StorageError: `path` exists and is left as it was, the disk is full, or the folder
            cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    write_atomic(temporary, data, mode=mode)
    try:
        with storage_errors(path):
            with _NAMING:
                os.link(temporary, path)  # unlike a rename, never replaces
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_torn(folder: Path, *, deep: bool = False, of: str | None = None) -> None:
    """Delete what `atomic_file` had not moved into place when its process was killed.

    For who alone writes there: another process's file would be taken from under its hands.

    Args:
        deep: In the folders below it too.
        of: Only what was to become the file of this name.

    Raises:
        StorageError: they cannot be deleted.
    """
    pattern = ".*.part" if of is None else f".{of}.*.part"
    with storage_errors(folder):
        for path in folder.rglob(pattern) if deep else folder.glob(pattern):
            path.unlink()


def sync_file(path: Path) -> None:
    """Make the bytes of a finished file survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, whose names survive a power cut."""
    if path.exists():
        return
    make_folder(path.parent)
    with storage_errors(path):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def private_folder(path: Path) -> Path:
    """Make `path`, readable by its owner only."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o700)
    return path


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors about space and permission into ours."""
    try:
        yield
    except OSError as error:
        remedies = {
            errno.ENOSPC: "free some space, then resume",
            errno.EDQUOT: "raise the quota or free some space, then resume",
            errno.EEXIST: "nothing was overwritten; choose another name",
            errno.EACCES: "check who owns the folder",
            errno.EROFS: "choose a folder that can be written",
        }
        reason = os.strerror(error.errno) if error.errno else str(error)
        remedy = remedies.get(error.errno or 0, "check the path and the disk")
        raise StorageError(f"cannot be written: {reason}", where=path, remedy=remedy) from error

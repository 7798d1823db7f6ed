"""Locks between processes: a file that one process at a time holds, freed when it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from concord.base.files import storage_errors


class Held(Exception):
    """Another process holds the lock. Never reaches a user: who asks says what is locked."""


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock at `path`, whose file stays; a killed process holds it no longer.

    Args:
        path: Its file, made if need be; its owner alone can open it, or others could hold it.
        wait: Wait for whoever holds it.

    Raises:
        Held: another holds it, and `wait` is false.
        StorageError: the file cannot be made.
    """
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise Held(str(path)) from error
        yield
    finally:
        os.close(descriptor)

"""Records that are written once and are durable before anyone acts on them.

Every change of a store goes through `Disk`, one call per change: so tests can end the process
before, within and after each of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from concord.base.errors import SealRefused, StorageError
from concord.base.files import atomic_file, make_folder, storage_errors, sync_folder, write_new

SECRET_MODE = 0o600


class Disk(Protocol):
    """Changes of files. Each MUST be durable when it returns, and whole or not at all."""

    def create(self, path: Path, data: bytes) -> None:
        """Write a new file. Raises StorageError if there is one already."""

    def replace(self, path: Path, *parts: bytes | memoryview) -> None:
        """Write a file, over another if there is one."""

    def remove(self, path: Path) -> None:
        """Remove a file or a folder with all that is in it, if it is there."""


class PlainDisk:
    """The disk itself; files are their owner's alone."""

    def create(self, path: Path, data: bytes) -> None:
        _private(path.parent)
        write_new(path, data, mode=SECRET_MODE)

    def replace(self, path: Path, *parts: bytes | memoryview) -> None:
        _private(path.parent)
        with atomic_file(path, mode=SECRET_MODE) as stream:
            for part in parts:
                stream.write(part)

    def remove(self, path: Path) -> None:
        if not path.exists():
            return
        with storage_errors(path):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            sync_folder(path.parent)


class Records:
    """A folder of records that never change.

    Args:
        folder: Made with the first record.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder, self._disk = folder, disk

    def get(self, name: str) -> bytes | None:
        """A record, or None if there is none.

        Raises:
            StorageError: it cannot be read.
        """
        path = self.folder / name
        with storage_errors(path):
            return path.read_bytes() if path.exists() else None

    def put(self, name: str, data: bytes) -> None:
        """Keep a record; the same one may be kept again.

        Raises:
            SealRefused: another one is kept under this name.
            StorageError: the disk is full, or the folder cannot be written.
        """
        if self.get(name) is None:
            try:
                self._disk.create(self.folder / name, data)
            except StorageError:
                if self.get(name) is None:
                    raise
        if self.get(name) != data:
            message = f"another {name} was kept before, and may have been sent"
            remedy = "an instance has one of each, for ever: leave this instance"
            raise SealRefused(message, where=self.folder, remedy=remedy)

    def made(self, name: str, make: Callable[[], bytes]) -> bytes:
        """A record, made and kept if there is none yet."""
        found = self.get(name)
        if found is None:
            found = make()
            self.put(name, found)
        return found

    def remove(self, name: str) -> None:
        self._disk.remove(self.folder / name)


def _private(folder: Path) -> None:
    if not folder.exists():
        make_folder(folder.parent)
        with storage_errors(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)

"""Entries after the last full bundle: where an append becomes durable.

    header = "CLJ1" | 0 u32 | synced u64 | first u64 | SHA-256(origin)
    batch  = count u32 | bytes u32 | SHA-256(first u64 | count u32 | bytes u32 | body) | body
    body   = entries, each after its length as u16; all integers big-endian

One append is one batch: it is there as a whole or not at all. It is durable when the file has
been synced. `synced` says up to which byte that had happened before the last batch began, so a
batch that does not check is either the torn end of an append that never returned, which is cut
off, or damage to what was acknowledged, which is told.

The file is the writer's own. When a bundle is full, it is written to its place and the journal is
replaced by one that begins after it.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from concord.base.errors import LogCorrupt, LogError
from concord.base.files import storage_errors, write_atomic, write_new
from concord.ledger.tiles import check_entry, join_entries, split_entries

MAX_BATCH_BYTES = 64 << 20
_MAGIC = b"CLJ1"
_HEADER = struct.Struct(">4sIQQ32s")
_SYNCED = struct.Struct(">Q")
_SYNCED_AT = 8
_BATCH = struct.Struct(">II32s")


class Journal:
    """An open journal.

    Attributes:
        first: Number of its first entry; a multiple of the bundle's width.
        entries: What it held when it was opened.

    Raises:
        LogError: the file is of another log.
        LogCorrupt: what was acknowledged is damaged.
        StorageError: it cannot be read or written.
    """

    def __init__(self, path: Path, origin: str) -> None:
        self.path = path
        self.origin = origin
        self._file = -1
        self._synced = 0
        self._open()

    @staticmethod
    def create(path: Path, origin: str, first: int, entries: Sequence[bytes]) -> None:
        """Make a journal where there is none, whole or not at all.

        Raises:
            StorageError: there is one, the disk is full, or the folder cannot be written.
        """
        write_new(path, _file(origin, first, entries))

    def batch(self, entries: Sequence[bytes]) -> Batch:
        """Entries in the form in which they are appended next.

        Raises:
            LogError: one is over 65,535 bytes, or together they are over 64 MiB.
        """
        return Batch(len(entries), _batch(self._next, entries))

    def append(self, batch: Batch) -> None:
        """Add a batch; on return it survives a crash and a power cut.

        Raises:
            LogError: the journal is closed.
            StorageError: the disk refused. What was written is cut off again, and the journal is
                closed, since nobody knows what a disk that failed has kept.
        """
        if self._file < 0:
            raise LogError("the log was closed", where=self.path, remedy="open it again")
        try:
            with storage_errors(self.path):
                if self._synced != self._end:
                    os.pwrite(self._file, _SYNCED.pack(self._end), _SYNCED_AT)
                    self._synced = self._end
                _write_all(self._file, batch.data, self._end)
                os.fdatasync(self._file)
        except BaseException:
            with suppress(OSError):  # opening again cuts what is torn
                self._cut()
            self.close()
            raise
        self._end += len(batch.data)
        self._next += batch.count

    def begin_anew(self, first: int, entries: Sequence[bytes]) -> None:
        """Replace the file by one that holds `entries` from number `first` on.

        Raises:
            StorageError: the disk is full; the old file is still in place.
        """
        write_atomic(self.path, _file(self.origin, first, entries))
        self.close()
        self._open()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        with storage_errors(self.path):
            data = self.path.read_bytes()
            self.first, self.entries, self._end = _read(data, self.origin, self.path)
            self._next = self.first + len(self.entries)
            (self._synced,) = _SYNCED.unpack_from(data, _SYNCED_AT)
            self._file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            if self._end < len(data):
                self._cut()

    def _cut(self) -> None:
        os.ftruncate(self._file, self._end)
        os.fdatasync(self._file)


@dataclass(frozen=True)
class Batch:
    """Entries of one append, as bytes of the journal."""

    count: int
    data: bytes


def _file(origin: str, first: int, entries: Sequence[bytes]) -> bytes:
    batch = _batch(first, entries) if entries else b""
    size = _HEADER.size + len(batch)
    return _HEADER.pack(_MAGIC, 0, size, first, _digest(origin)) + batch


def _batch(first: int, entries: Sequence[bytes]) -> bytes:
    for entry in entries:
        check_entry(entry)
    body = join_entries(entries)
    if len(body) > MAX_BATCH_BYTES:
        message = f"a batch of {len(body):,} bytes is over the limit of {MAX_BATCH_BYTES:,}"
        raise LogError(message, remedy="append it in parts")
    return _BATCH.pack(len(entries), len(body), _check(first, len(entries), body)) + body


def _check(first: int, count: int, body: bytes) -> bytes:
    return hashlib.sha256(struct.pack(">QII", first, count, len(body)) + body).digest()


def _digest(origin: str) -> bytes:
    return hashlib.sha256(origin.encode()).digest()


def _read(data: bytes, origin: str, path: Path) -> tuple[int, list[bytes], int]:
    """Number of the first entry, the entries, and where the last whole batch ends.

    Raises:
        LogError: the journal is of another log.
        LogCorrupt: its header, or a batch that had been synced, is damaged.
    """
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise LogCorrupt("is no journal of a log", where=path, remedy="restore it from a copy")
    _, _, synced, first, digest = _HEADER.unpack_from(data)
    if digest != _digest(origin):
        raise LogError(f"belongs to another log than {origin}", where=path)
    entries: list[bytes] = []
    end = _HEADER.size
    while (found := _batch_at(data, end, first + len(entries), path)) is not None:
        batch, end = found
        entries += batch
    if end < synced:
        raise LogCorrupt(
            f"is damaged after entry {first + len(entries)}, in what was already acknowledged",
            where=path,
            remedy="restore it from a copy",
        )
    return first, entries, end


def _batch_at(data: bytes, place: int, first: int, path: Path) -> tuple[list[bytes], int] | None:
    if place + _BATCH.size > len(data):
        return None
    count, size, check = _BATCH.unpack_from(data, place)
    begin = place + _BATCH.size
    body = data[begin : begin + size]
    if len(body) != size or check != _check(first, count, body):
        return None
    entries = split_entries(body, str(path))
    return (entries, begin + size) if len(entries) == count else None


def _write_all(descriptor: int, data: bytes, place: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, place)
        rest, place = rest[written:], place + written

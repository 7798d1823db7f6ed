"""One file, over a line that may break: what came is kept, and the rest asked for.

A file counts only under its digest. Bytes that came are kept in a file named by that digest, so
that a later call goes on where an earlier one was killed.
"""

from __future__ import annotations

import hashlib
import http.client
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from concord.base.errors import FetchFailed, VerificationFailed
from concord.base.files import storage_errors, sync_file, sync_folder
from concord.release.fetch.sources import Source
from concord.release.manifest import FileEntry

CHUNK = 1 << 16
TRIES = 6
"""In a row without a byte. Assumption: a line that is dead for a minute stays so."""
LINE_ERRORS = (OSError, http.client.HTTPException)
Told = Callable[[int], object]
Wait = Callable[[float], object]


@dataclass(frozen=True)
class Line:
    """A source, and how its failures are met.

    Args:
        told: Is told of bytes that came; of a negative number where they have to come again.
        wait: Waits so many seconds before the next try.
    """

    source: Source
    told: Told
    wait: Wait

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """A small file, whole.

        Raises:
            FetchFailed: it is not there, larger than `max_bytes`, or the host cannot be reached.
        """
        failures = 0
        while True:
            try:
                data = self._read(path, max_bytes)
            except LINE_ERRORS as error:
                failures += 1
                self._again(path, failures, error)
                continue
            self.told(len(data))
            return data

    def _read(self, path: str, max_bytes: int) -> bytes:
        data = b""
        with self.source.open(path) as opened:
            while part := opened.stream.read1(CHUNK):
                data += part
                if len(data) > max_bytes:
                    raise FetchFailed(
                        f"is over the limit of {max_bytes:,} bytes", where=self.source.where(path)
                    )
        return data

    def fetch(self, path: str, entry: FileEntry, target: Path, parts: Path) -> int:
        """Fetch a file of the manifest to `target`, and return how many bytes came.

        Args:
            parts: Folder of files that are not whole yet.

        Raises:
            FetchFailed: it is not there, or the host cannot be reached.
            VerificationFailed: what the host has is another file.
            StorageError: the disk is full, or `target` cannot be written.
        """
        part = parts / f"{entry.sha256}.part"
        came = failures = 0
        whole_try = False
        while True:
            held = part.stat().st_size if part.exists() else 0
            if held >= entry.bytes and part.exists():
                if _is(part, entry):
                    break
                part.unlink()
                self.told(-held)
                if whole_try:
                    raise VerificationFailed(
                        "the host has another file than the release",
                        where=self.source.where(path),
                        remedy="fetch it from another copy",
                    )
                held = 0
            whole_try = whole_try or held == 0
            try:
                new = self._append(path, part, held, entry.bytes)
            except LINE_ERRORS as error:
                failures += 1
                self._again(path, failures, error)
                continue
            came += new
            failures = 0 if new else failures + 1
            if failures:
                self._again(path, failures, ConnectionError("the file ends too early"))
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            sync_file(part)
            os.replace(part, target)
            sync_folder(target.parent)
        return came

    def _append(self, path: str, part: Path, held: int, size: int) -> int:
        """Add to a part what comes until the line breaks; bytes that came."""
        came = 0
        with self.source.open(path, held) as opened:
            if opened.start != held:
                self.told(-held)
            with storage_errors(part):
                stream = part.open("r+b" if held else "wb", buffering=0)
            with stream:
                stream.truncate(opened.start)
                stream.seek(opened.start)
                left = size - opened.start
                while left > 0:
                    try:
                        data = opened.stream.read1(min(CHUNK, left))
                    except LINE_ERRORS:
                        if came:
                            break
                        raise
                    if not data:
                        break
                    with storage_errors(part):
                        stream.write(data)
                    came += len(data)
                    left -= len(data)
                    self.told(len(data))
            if not size and not part.exists():
                part.touch()
        return came

    def _again(self, path: str, failures: int, error: BaseException) -> None:
        if isinstance(error, FileNotFoundError | PermissionError) or failures >= TRIES:
            raise FetchFailed(
                f"cannot be fetched: {error}",
                where=self.source.where(path),
                remedy="the same command goes on later where this one ended",
            ) from error
        self.wait(2.0 ** (failures - 1))


def _is(file: Path, entry: FileEntry) -> bool:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == entry.sha256


def is_here(target: Path, entry: FileEntry) -> bool:
    """Whether a file lies there already, whole and unaltered."""
    return target.is_file() and target.stat().st_size == entry.bytes and _is(target, entry)

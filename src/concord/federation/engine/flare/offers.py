"""Payloads that wait to be fetched: read in ranges, let go when they were taken.

Each is kept under the number of the message that it belongs to; its digest tells the receiver
which of what it already has is a part of it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from concord.base.digest import Digest, digest_bytes, digest_file
from concord.federation.engine.flare.words import Offer

_Stamp = tuple[str, int, int, int]


class KnownDigests:
    """Digests of files that do not change, so that several members share one reading."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._known: dict[_Stamp, Digest] = {}
        self._lock = threading.Lock()

    def of(self, path: Path) -> Offer:
        """Digest and length of a file.

        Raises:
            OSError: it cannot be read.
        """
        found = path.stat()
        stamp = (str(path), found.st_ino, found.st_size, found.st_mtime_ns)
        with self._lock:
            if stamp not in self._known:
                while len(self._known) >= self._most:
                    self._known.pop(next(iter(self._known)))
                self._known[stamp] = digest_file(path)
            return Offer(digest=self._known[stamp], bytes=found.st_size)


@dataclass(frozen=True)
class _Kept:
    source: bytes | Path
    owned: bool


class Offers:
    """What one line offers to its peer.

    Args:
        known: Digests that all lines share.
    """

    def __init__(self, known: KnownDigests) -> None:
        self._known = known
        self._kept: dict[int, _Kept] = {}
        self._lock = threading.Lock()

    @property
    def waiting(self) -> bool:
        """Whether anything waits to be fetched."""
        return bool(self._kept)

    def put(self, number: int, source: bytes | Path, *, owned: bool = False) -> Offer:
        """Offer a payload.

        Args:
            number: Of the message that it belongs to.
            source: Its bytes, or a file that stays as it is until it is let go.
            owned: Delete the file when it is let go.

        Raises:
            OSError: the file cannot be read.
        """
        if isinstance(source, Path):
            offer = self._known.of(source)
        else:
            offer = Offer(digest=digest_bytes(source), bytes=len(source))
        with self._lock:
            self._kept[number] = _Kept(source, owned)
        return offer

    def read(self, number: int, start: int, length: int) -> bytes | None:
        """A range of what is offered; None if it is not offered, or not that long."""
        kept = self._kept.get(number)
        if kept is None:
            return None
        if isinstance(kept.source, bytes):
            data = kept.source[start : start + length]
        else:
            try:
                with kept.source.open("rb", buffering=0) as file:
                    file.seek(start)
                    data = file.read(length)
            except OSError:
                return None
        return data if len(data) == length else None

    def drop(self, number: int) -> None:
        """The peer has it, or will never ask for it again."""
        with self._lock:
            kept = self._kept.pop(number, None)
        if kept is not None and kept.owned and isinstance(kept.source, Path):
            with suppress(OSError):
                kept.source.unlink(missing_ok=True)

    def drop_all(self) -> None:
        for number in list(self._kept):
            self.drop(number)

"""A payload comes in ranges, and goes on where it stopped.

    <peer>-<digest>.part     what has come so far, in order; survives a restart of either side
    <random>.frame           the whole, its digest checked

Several ranges are under way at once, so that a long way does not leave the link idle; they are
written in order, so that the length of the file says all that is needed to go on. What two lines
of one process have under way together is bounded, and with it the memory, however many members.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from concord.base.digest import Digest
from concord.base.errors import MessageRefused
from concord.base.files import storage_errors
from concord.federation.engine.flare.words import Offer
from concord.federation.frames import Pace

RANGE_BYTES = 1 << 20
RANGES_PER_PAYLOAD = 4
RANGES_AT_ONCE = 16
READ_BYTES = 1 << 20
NOT_YET_S = 0.25


@dataclass(frozen=True)
class Ranges:
    """How much is asked for at once."""

    bytes: int = RANGE_BYTES
    per_payload: int = RANGES_PER_PAYLOAD


class Stopped(Exception):
    """The line ended meanwhile."""


Ask = Callable[[int, int], memoryview | None]
"""Start and length of a range; None if no answer came.

It raises MessageRefused if the peer has no such thing.
"""


class Fetcher:
    """Fetches payloads for all lines of one process.

    Args:
        folder: Where they are kept, on one file system.
        pace: How slowly one may come.
        ranges: How much is asked for at once.
    """

    def __init__(
        self, folder: Path, *, pace: Pace | None = None, ranges: Ranges | None = None
    ) -> None:
        self._folder = folder
        self._pace = Pace() if pace is None else pace
        self._ranges = Ranges() if ranges is None else ranges
        self._slots = threading.BoundedSemaphore(RANGES_AT_ONCE)

    def part(self, peer: str, digest: Digest) -> Path:
        """Where an unfinished payload lies."""
        return self._folder / f"{peer}-{digest.removeprefix('sha256:')}.part"

    def fetch(self, peer: str, offer: Offer, ask: Ask, ended: Callable[[], bool]) -> Path:
        """Fetch what a peer offers, into a new file that the caller owns.

        Raises:
            MessageRefused: it does not come, comes too slowly, or is not what its digest says.
            Stopped: `ended` says so; what has come is kept.
            StorageError: the disk is full.
        """
        part = self.part(peer, offer.digest)
        for other in self._folder.glob(f"{peer}-*.part"):
            if other != part:
                other.unlink(missing_ok=True)
        begun = part.exists()
        if self._complete(part, offer, ask, ended):
            return self._named(part)
        # What lay there from an earlier time may be to blame: once more from the beginning.
        if begun and self._complete(part, offer, ask, ended):
            return self._named(part)
        raise MessageRefused("a payload is not what its digest says", where=peer)

    def keep_bytes(self, data: memoryview) -> Path:
        """Write a payload that came with its message into a file of its own."""
        path = self._folder / f"{secrets.token_hex(8)}.frame"
        with storage_errors(path), path.open("xb") as file:
            path.chmod(0o600)
            file.write(data)
        return path

    def forget(self) -> None:
        """Remove what nobody took over; unfinished payloads stay."""
        for leftover in self._folder.glob("*.frame"):
            leftover.unlink(missing_ok=True)

    def _named(self, part: Path) -> Path:
        path = self._folder / f"{secrets.token_hex(8)}.frame"
        with storage_errors(path):
            return part.rename(path)

    def _complete(self, part: Path, offer: Offer, ask: Ask, ended: Callable[[], bool]) -> bool:
        """Bring the rest; whether the whole has its digest. If not, nothing is left of it."""
        with storage_errors(part), part.open("ab+") as file:
            part.chmod(0o600)
            if file.tell() > offer.bytes:
                file.truncate(0)
            digest = hashlib.sha256()
            start = _read_through(file, digest)
            for data in self._rest(offer, start, ask, ended):
                file.write(data)
                digest.update(data)
        if f"sha256:{digest.hexdigest()}" == offer.digest:
            return True
        part.unlink(missing_ok=True)
        return False

    def _rest(
        self, offer: Offer, start: int, ask: Ask, ended: Callable[[], bool]
    ) -> Iterator[memoryview]:
        """The bytes from `start` on, in order."""
        clock = _Patience(self._pace, offer.bytes - start)
        with ThreadPoolExecutor(self._ranges.per_payload) as pool:
            coming: deque[Future[memoryview]] = deque()
            stop = threading.Event()

            def done() -> bool:
                return stop.is_set() or ended()

            try:
                while start < offer.bytes or coming:
                    while start < offer.bytes and len(coming) < self._ranges.per_payload:
                        size = min(self._ranges.bytes, offer.bytes - start)
                        coming.append(pool.submit(self._one, ask, start, size, done, clock))
                        start += size
                    yield coming.popleft().result()
            finally:
                stop.set()

    def _one(
        self, ask: Ask, start: int, size: int, ended: Callable[[], bool], clock: _Patience
    ) -> memoryview:
        while True:
            with _slot(self._slots, ended):
                data = ask(start, size)
            if data is not None:
                if len(data) != size:
                    raise MessageRefused("a range is not as long as was asked for")
                clock.moved()
            clock.check()
            if data is not None:
                return data
            if ended():
                raise Stopped
            time.sleep(NOT_YET_S)


@contextmanager
def _slot(slots: threading.Semaphore, ended: Callable[[], bool]) -> Iterator[None]:
    while not slots.acquire(timeout=NOT_YET_S):
        if ended():
            raise Stopped
    try:
        if ended():
            raise Stopped
        yield
    finally:
        slots.release()


class _Patience:
    """Until when the next range has to come; see `Pace`."""

    def __init__(self, pace: Pace, size: int) -> None:
        self._pace = pace
        now_s = time.monotonic()
        self._moved_s = now_s
        self._deadline_s = now_s + pace.idle_s + size / pace.least_bytes_per_s

    def moved(self) -> None:
        self._moved_s = time.monotonic()

    def check(self) -> None:
        now_s = time.monotonic()
        if now_s > self._deadline_s or now_s - self._moved_s > self._pace.idle_s:
            raise MessageRefused("a payload came too slowly, or stopped in the middle")


def _read_through(file: BinaryIO, digest: hashlib._Hash) -> int:
    """Hash what lies there; its length."""
    file.seek(0)
    size = 0
    buffer = memoryview(bytearray(READ_BYTES))
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        digest.update(buffer[:count])
        size += count
    return size

"""FLU1: an integer vector as a file whose every byte but the values is known beforehand.

    0  magic "FLU1"        4  version u8        5  mode u8 (0 plain, 1 masked)
    6  ring bits u8        7  value bits u8     8  run[16]           24  round u64
    32 fragment u32       36  attempt u16      38  member u16        40  count u64
    48 scale table[16]    64  count elements, little-endian; the last 64 are check elements

Little-endian. `run` and `scale table` are the first 16 bytes of SHA-256 digests. A reader builds
the header that it expects and compares; length is checked before anything is read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import cast

import numpy as np

from concord.base.errors import RefusalReason, UpdateError, UpdateRefused
from concord.crypto.seal.ring import CHECK_ELEMENTS, Ring, RingArray

MAGIC, VERSION = b"FLU1", 1
_HEADER = struct.Struct("<4sBBBB16sQIHHQ16s")
HEADER_BYTES = _HEADER.size
MAX_COUNT = 1 << 40


class Mode(IntEnum):
    """What the elements are."""

    PLAIN = 0
    MASKED = 1


@dataclass(frozen=True)
class FluHeader:
    """What a file is of. `member` is its index in the cohort.

    Raises:
        UpdateError: a field does not fit its place.
    """

    mode: Mode
    ring: Ring
    run: bytes
    round: int
    fragment: int
    attempt: int
    member: int
    count: int
    scales: bytes

    def __post_init__(self) -> None:
        if len(self.run) != 16 or len(self.scales) != 16:
            raise UpdateError("run and scale table are named by 16 bytes", where="FLU1 header")
        if not CHECK_ELEMENTS < self.count <= MAX_COUNT:
            raise UpdateError(f"{self.count:,} elements are out of range", where="FLU1 header")
        try:
            self.encode()
        except struct.error as error:
            raise UpdateError(f"a field is out of range: {error}", where="FLU1 header") from error

    def encode(self) -> bytes:
        """64 bytes."""
        return _HEADER.pack(
            MAGIC, VERSION, self.mode, self.ring.bits, self.ring.value_bits, self.run, self.round,
            self.fragment, self.attempt, self.member, self.count, self.scales,
        )  # fmt: skip

    @property
    def file_bytes(self) -> int:
        """Length of the whole file."""
        return HEADER_BYTES + self.count * self.ring.bytes


def open_file(path: Path, expected: FluHeader) -> RingArray:
    """The elements of a file on disk, as a read-only map.

    Raises:
        UpdateRefused: MALFORMED, or another run, round or base than expected.
    """
    try:
        with path.open("rb") as stream:
            check_file(stream.read(HEADER_BYTES), path.stat().st_size, expected)
        values = np.memmap(
            path, expected.ring.unsigned, "r", offset=HEADER_BYTES, shape=(expected.count,)
        )
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise UpdateRefused(RefusalReason.MALFORMED, message, where=path) from error
    return cast(RingArray, values)


def check_file(head: bytes | memoryview, length: int, expected: FluHeader) -> None:
    """Compare a file's header and length with what they must be.

    Args:
        head: Its first 64 bytes.
        length: Of the whole file.

    Raises:
        UpdateRefused: they are something else; the reason says what.
    """
    if length != expected.file_bytes:
        message = f"has {length:,} bytes, not {expected.file_bytes:,}"
        reason = RefusalReason.MALFORMED
        if length > expected.file_bytes:
            reason = RefusalReason.TOO_LARGE
        raise UpdateRefused(reason, message)
    wanted = expected.encode()
    if bytes(head) == wanted:
        return
    for reason, first, end in _PARTS:
        if head[first:end] != wanted[first:end]:
            raise UpdateRefused(reason, f"bytes {first} to {end - 1} of its header are others")


_PARTS = (
    (RefusalReason.MALFORMED, 0, 8),
    (RefusalReason.WRONG_RUN, 8, 24),
    (RefusalReason.WRONG_ROUND, 24, 38),
    (RefusalReason.NOT_IN_ROSTER, 38, 40),
    (RefusalReason.WRONG_SHAPE, 40, 48),
    (RefusalReason.WRONG_BASE, 48, 64),
)
"""Why a file is refused whose header differs there."""

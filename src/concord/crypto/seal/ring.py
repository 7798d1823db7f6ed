"""The ring Z_2^k of masked vectors, and the room in it that keeps sums from wrapping.

b = k - ceil(log2 n) - 1       bits of one member's value, sign included; one bit is a guard
Q = 2^(b-1) - 1                largest magnitude of one value
n Q < 2^(k-2)                  so a sum never wraps, and one that nearly does is seen
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from concord.base.errors import SealRefused

RING_BITS = (16, 32)
MAX_MEMBERS = 200
MIN_MEMBERS = 3
CHECK_ELEMENTS = 64
"""Values at the end of every vector that are 0 before masking, and so 0 in every honest sum."""

RingArray = NDArray[np.uint16] | NDArray[np.uint32]
SignedArray = NDArray[np.int16] | NDArray[np.int32]


@dataclass(frozen=True)
class Ring:
    """Z_2^`bits` for the sums of up to `members` values.

    Raises:
        SealRefused: another number of bits than 16 or 32, fewer than 3 members or more than 200.
            So n Q < 2^(k-2) holds in every ring there is.
    """

    bits: int
    members: int

    def __post_init__(self) -> None:
        if self.bits not in RING_BITS:
            message = f"a ring of {self.bits} bits is not offered"
            raise SealRefused(message, where="ring bits", remedy="choose 16 or 32")
        if not MIN_MEMBERS <= self.members <= MAX_MEMBERS:
            message = f"{self.members} members, not {MIN_MEMBERS} to {MAX_MEMBERS}"
            raise SealRefused(message, where="cohort")

    @property
    def value_bits(self) -> int:
        """b: bits of one member's value, its sign included."""
        return self.bits - (self.members - 1).bit_length() - 1

    @property
    def largest(self) -> int:
        """Q: largest magnitude of one member's value."""
        return (1 << (self.value_bits - 1)) - 1

    @property
    def bytes(self) -> int:
        """Bytes of one element."""
        return self.bits // 8

    @property
    def unsigned(self) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
        """Elements as they are added, little-endian."""
        return np.dtype("<u2") if self.bits == 16 else np.dtype("<u4")

    @property
    def signed(self) -> np.dtype[np.int16] | np.dtype[np.int32]:
        """Elements as they are read: the representative nearest to 0."""
        return np.dtype("<i2") if self.bits == 16 else np.dtype("<i4")

"""What every codec does, and the limits that hold for all of them.

A codec is a pure function of a tensor's values: no state, no randomness, only operations that
IEEE 754 rounds correctly (add, multiply, divide, square root, comparison), so that all machines
write and read the same bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from concord.base.errors import RefusalReason, UpdateError, UpdateRefused
from concord.base.tensors import FloatArray

WINDOW = 1 << 16
"""Values decoded at a time: fits a core's second-level cache, a multiple of every block."""

LIMIT = 2.0**60
"""Largest magnitude that is encoded. Larger counts as not finite: its square, which norms and
outer Adam need, would come near the end of float32. Decoders allow twice as much for rounding."""


class Codec(ABC):
    """One way to write a float32 tensor as bytes.

    Implementations MUST encode equal values to equal bytes, MUST decode only what `encode` can
    have written as far as the bytes alone tell (no stray bits, no other length), and MUST NOT
    allocate more than `size` asks for.
    """

    feeds_back: ClassVar[bool] = False
    """True if what is lost has to be added to the next update (error feedback)."""

    @abstractmethod
    def encode(self, values_D: FloatArray) -> bytes:
        """Encode a flat float32 array.

        Raises:
            UpdateError: a value is NaN, infinite, beyond `LIMIT`, or negative where the codec
                has no sign.
        """

    @abstractmethod
    def least_bytes(self, size: int) -> int:
        """Smallest encoding of `size` values."""

    @abstractmethod
    def most_bytes(self, size: int) -> int:
        """Largest encoding of `size` values."""

    @abstractmethod
    def windows(self, data: memoryview, size: int, length: int = WINDOW) -> Iterator[FloatArray]:
        """Decode `length` values at a time, in order; the last window may be shorter.

        Each window is valid until the next is asked for, and may be overwritten by the caller.

        Args:
            data: Exactly one encoded tensor.
            size: Number of its values, from the layout.
            length: A multiple of 4,096.

        Raises:
            UpdateRefused: MALFORMED or NON_FINITE.
        """

    def joined(self, encoded: Sequence[memoryview], size: int) -> bytes | None:  # noqa: ARG002
        """One tensor made of some of `size` values, one after another, without decoding them.

        None where that would be another encoding than the parts have.
        """
        return None

    def encoded_size(self, size: int) -> int | None:
        """Bytes of `size` values if that does not depend on them, else None."""
        least = self.least_bytes(size)
        return least if least == self.most_bytes(size) else None

    def decode(self, data: bytes | memoryview, size: int) -> FloatArray:
        """Decode a whole tensor into a new flat array.

        Raises:
            UpdateRefused: MALFORMED or NON_FINITE.
        """
        values_D = np.empty(size, np.float32)
        start = 0
        for window in self.windows(memoryview(data), size):
            values_D[start : start + window.size] = window
            start += window.size
        return values_D


def check_length(codec: Codec, data: memoryview, size: int) -> None:
    """Refuse an encoding that no tensor of this size has."""
    if not codec.least_bytes(size) <= data.nbytes <= codec.most_bytes(size):
        malformed(f"holds {data.nbytes:,} bytes, which no tensor of {size:,} values has")


def check_encodable(values: FloatArray) -> None:
    """Refuse to encode what is not finite.

    Raises:
        UpdateError: a value is NaN, infinite or beyond `LIMIT`.
    """
    if not _within(values, LIMIT):
        refuse_to_encode()


def refuse_to_encode() -> NoReturn:
    raise UpdateError(
        f"holds a value that is NaN, infinite or above {LIMIT:.0e}",
        remedy="the training diverged: lower the inner learning rate",
    )


def check_decoded(values: FloatArray) -> None:
    """Refuse decoded values, or scales, that are NaN, infinite or beyond twice `LIMIT`."""
    if not _within(values, 2 * LIMIT):
        raise UpdateRefused(RefusalReason.NON_FINITE, "holds a value that is not finite")


def _within(values: FloatArray, limit: float) -> bool:
    """Whether no magnitude is above `limit`; False for a NaN too."""
    if not values.size:
        return True
    return bool(np.maximum.reduce(peak_bits(values), axis=None) <= np.float32(limit).view(np.int32))


def peak_bits(values: FloatArray) -> NDArray[np.int32]:
    """Magnitudes as whole numbers in the same order, with a NaN above all.

    Their maximum takes a third of the time: that of floats has to look for NaN.
    """
    return np.abs(values).view(np.int32)


def malformed(what: str) -> NoReturn:
    raise UpdateRefused(RefusalReason.MALFORMED, what)

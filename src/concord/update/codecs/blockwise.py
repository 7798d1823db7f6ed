"""Blocks of 256 values share one fp32 scale; each value is a code of 8 or 4 bits.

    uniform       s = max|x|/L,  q = clip(round_half_even(x/s), -L, L),  x^ = q s;  L = 127 or 7
    logarithmic   s = max x,  x/s rounded to one of 255 or 15 floats in (0, 1], or 0

The second is for values that are never negative. Adam divides by the root of a second moment, so
its *relative* error counts, and rows of rare tokens are many decades below their neighbours in the
same block: equal steps, even of the root, would round those to zero and so turn negligible
gradients into full-size steps. The logarithmic code keeps 31 binary orders below the largest value
(8 bit, relative error 2^-4) or 14 (4 bit, a factor sqrt 2), and raises what lies below to its
smallest code.

Bytes: all scales, then all codes; of a 4-bit pair the first is in the low nibble. Source:
uniform int4 as in Douillard et al. 2025 (arXiv 2501.18512); block size and form are Concord's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from concord.base.errors import UpdateError
from concord.base.tensors import FloatArray
from concord.update.codecs.interface import (
    LIMIT,
    WINDOW,
    Codec,
    check_decoded,
    check_length,
    malformed,
    peak_bits,
    refuse_to_encode,
)

BLOCK = 256
FEW_BLOCKS = 32
_SURE_SCALE_BITS = np.float32(LIMIT / 128).view(np.uint32)
"""A scale up to this one cannot lead beyond what may be decoded, in any of these codecs."""
Codes = NDArray[Any]
"""int8 or uint8, one code per element."""


class Blockwise(Codec):
    """What the codecs with one scale per block have in common."""

    signed = False

    def __init__(self, *, bits: int) -> None:
        self.bits = bits
        self.levels = 2 ** (bits - 1) - 1 if self.signed else 2**bits - 1

    @abstractmethod
    def scale(self, peaks_B: FloatArray) -> FloatArray:
        """Scale of each block, given its largest magnitude."""

    @abstractmethod
    def quantise(self, blocks_BK: FloatArray, scales_B: FloatArray) -> Codes:
        """Codes of blocks; a scale of 0 gives codes of 0."""

    @abstractmethod
    def restore(self, codes_BK: Codes, scales_B: FloatArray, out_BK: FloatArray) -> None:
        """Values of codes, written into `out_BK`."""

    @abstractmethod
    def peak(self, scales_B: FloatArray) -> FloatArray:
        """Largest magnitude a block of this scale can hold."""

    def least_bytes(self, size: int) -> int:
        return 4 * -(-size // BLOCK) + -(-size * self.bits // 8)

    most_bytes = least_bytes

    def encode(self, values_D: FloatArray) -> bytes:
        scales, codes = [], []
        for start in range(0, values_D.size, WINDOW):
            blocks_BK = _blocks(values_D[start : start + WINDOW])
            if not self.signed and blocks_BK.min() < 0:
                raise UpdateError("holds a negative value, which this codec has no code for")
            peaks_B = _peaks(blocks_BK)
            if not (peaks_B <= LIMIT).all():
                refuse_to_encode()
            scales_B = self.scale(peaks_B)
            scales.append(scales_B.astype("<f4").tobytes())
            window = self.quantise(blocks_BK, scales_B).reshape(-1)
            codes.append(_pack(window[: values_D.size - start], self.bits))
        return b"".join(scales + codes)

    def joined(self, encoded: Sequence[memoryview], size: int) -> bytes | None:
        if size % BLOCK:
            return None
        head = 4 * (size // BLOCK)
        return b"".join([*(data[:head] for data in encoded), *(data[head:] for data in encoded)])

    def windows(self, data: memoryview, size: int, length: int = WINDOW) -> Iterator[FloatArray]:
        check_length(self, data, size)
        head = 4 * -(-size // BLOCK)
        scales = np.frombuffer(bytes(data[:head]), "<f4").astype(np.float32)
        self._check_scales(scales)
        all_scaled = bool(scales.all())
        codes = np.frombuffer(data[head:], np.uint8)
        out_BK = np.empty((-(-min(size, length) // BLOCK), BLOCK), np.float32)
        for start in range(0, size, length):
            count = min(length, size - start)
            scales_B = scales[start // BLOCK : -(-(start + count) // BLOCK)]
            part = codes[start * self.bits // 8 : -(-(start + count) * self.bits // 8)]
            codes_BK = self._unpacked(part, count)
            self._check_codes(codes_BK, None if all_scaled else scales_B)
            window_BK = out_BK[: scales_B.size]
            self.restore(codes_BK, scales_B, window_BK)
            yield window_BK.reshape(-1)[:count]

    def _check_scales(self, scales: FloatArray) -> None:
        # As whole numbers: those with a sign bit are above all others, and NaN above infinity.
        if not scales.size or np.maximum.reduce(scales.view(np.uint32)) <= _SURE_SCALE_BITS:
            return
        if np.signbit(scales).any() and not np.isnan(scales).any():
            malformed("holds a negative scale")
        check_decoded(scales)
        check_decoded(self.peak(scales))

    def _unpacked(self, part: NDArray[np.uint8], count: int) -> Codes:
        """Codes of whole blocks; those past the tensor's end are 0."""
        codes: Codes = _split_nibbles(part, signed=self.signed) if self.bits == 4 else part
        codes = codes.view(np.int8) if self.signed else codes
        if codes.size > count and codes[count:].any():
            malformed("holds bits after its last value")
        missing = -count % BLOCK
        if missing:
            codes = np.concatenate([codes[:count], np.zeros(missing, codes.dtype)])
        return codes.reshape(-1, BLOCK)

    def _check_codes(self, codes_BK: Codes, scales_B: FloatArray | None) -> None:
        """Check codes; scales are given only if some of them are 0."""
        if self.signed and np.minimum.reduce(codes_BK, axis=None) < -self.levels:
            malformed("holds a code that is never written")
        if scales_B is None:
            return
        empty_B = scales_B == 0
        if codes_BK[empty_B].any():
            malformed("holds codes in a block without scale")


class Uniform(Blockwise):
    """Signed, equal steps: error at most half a step, a 14th or 254th of the block's peak."""

    signed = True

    def scale(self, peaks_B: FloatArray) -> FloatArray:
        return peaks_B / np.float32(self.levels)

    def peak(self, scales_B: FloatArray) -> FloatArray:
        return scales_B * np.float32(self.levels)

    def quantise(self, blocks_BK: FloatArray, scales_B: FloatArray) -> Codes:
        steps_BK = blocks_BK / _divisor(scales_B)
        np.rint(steps_BK, out=steps_BK)
        np.clip(steps_BK, -self.levels, self.levels, out=steps_BK)
        return steps_BK.astype(np.int8)

    def restore(self, codes_BK: Codes, scales_B: FloatArray, out_BK: FloatArray) -> None:
        np.copyto(out_BK, codes_BK)
        _scale_up(out_BK, scales_B)


class Logarithmic(Blockwise):
    """Never negative; codes are small floats in (0, 1]: exponent and 3 (8 bit) or 0 mantissa bits.

    Codes in their order are the upper bits of consecutive float32, so the ratio x/s is rounded by
    integer arithmetic on its bits: half to even with mantissa bits, at sqrt 2 without.
    """

    def __init__(self, *, bits: int) -> None:
        super().__init__(bits=bits)
        self._dropped = 20 if bits == 8 else 23
        self._offset = (0x3F800000 >> self._dropped) - self.levels
        codes = np.arange(1, self.levels + 1, dtype=np.uint32)
        self._table = np.zeros(2**bits, np.float32)
        self._table[1:] = ((codes + self._offset) << self._dropped).view(np.float32)

    def scale(self, peaks_B: FloatArray) -> FloatArray:
        return peaks_B

    def peak(self, scales_B: FloatArray) -> FloatArray:
        return scales_B

    def quantise(self, blocks_BK: FloatArray, scales_B: FloatArray) -> Codes:
        bits_BK = (blocks_BK / _divisor(scales_B)).view(np.uint32)
        if self.bits == 8:
            bits_BK = bits_BK + 0x7FFFF + ((bits_BK >> 20) & 1)
        else:
            bits_BK = bits_BK + (0x800000 - 0x3504F3)  # sqrt 2 = 1 + 0x3504F3/2^23
        codes_BK = (bits_BK >> self._dropped).astype(np.int32) - self._offset
        codes_BK = np.clip(codes_BK, 1, self.levels)
        return np.where(blocks_BK > 0, codes_BK, 0).astype(np.uint8)

    def restore(self, codes_BK: Codes, scales_B: FloatArray, out_BK: FloatArray) -> None:
        np.take(self._table, codes_BK, out=out_BK, mode="clip")
        _scale_up(out_BK, scales_B)


def _peaks(blocks_BK: FloatArray) -> FloatArray:
    """Largest magnitude of each block."""
    peaks_B: FloatArray = peak_bits(blocks_BK).max(axis=1).view(np.float32)
    return peaks_B


def _scale_up(values_BK: FloatArray, scales_B: FloatArray) -> None:
    """Multiply each block by its scale, in place."""
    if len(values_BK) < FEW_BLOCKS:
        np.multiply(values_BK, scales_B[:, None], out=values_BK)
        return
    with np.errstate():  # bounds the next line too
        # A buffer of one block: with a longer one numpy first writes each scale out for every
        # value of its block, and takes twice as long.
        np.setbufsize(BLOCK)
        np.multiply(values_BK, scales_B[:, None], out=values_BK)


def _divisor(scales_B: FloatArray) -> FloatArray:
    return np.where(scales_B > 0, scales_B, np.float32(1))[:, None]


def _blocks(values: FloatArray) -> FloatArray:
    """Whole blocks, the last one filled with zeros."""
    missing = -values.size % BLOCK
    if missing:
        values = np.concatenate([values, np.zeros(missing, np.float32)])
    return np.ascontiguousarray(values, np.float32).reshape(-1, BLOCK)


def _pack(codes: Codes, bits: int) -> bytes:
    if bits == 8:
        return codes.tobytes()
    if codes.size % 2:
        codes = np.append(codes, codes.dtype.type(0))
    pairs = codes.view("<u2")
    return ((pairs & 0x0F) | ((pairs >> 4) & 0xF0)).astype(np.uint8).tobytes()


def _split_nibbles(part: NDArray[np.uint8], *, signed: bool) -> Codes:
    """Two codes per byte, low nibble first, sign-extended if signed."""
    # -8…7 become 0…15 by their sign bit alone, and -8…7 again once each has a byte of its own.
    pairs = (part ^ np.uint8(0x88) if signed else part).astype("<u2")
    pairs |= pairs << 4
    pairs &= 0x0F0F
    codes = pairs.view(np.uint8)
    if signed:
        codes -= np.uint8(8)
    return codes

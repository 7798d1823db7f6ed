"""The largest values of each chunk, coarsely, and where they are.

Of each chunk of 4,096 values the `kept` largest magnitudes travel (ties: the lower index; a
shorter last chunk keeps in proportion, rounded up). They are sorted into 2^bits bins of equal
width over 6 standard deviations around their mean, and each bin is restored as its own mean.
What is lost must be fed back into the next update (`ErrorFeedback`).

Bytes of a tensor: the bins' means as fp32; the codes, `bits` each; of each gap between kept
indices the low `rice` bits; its upper part in unary (that many 0, then 1). The three bit streams
start at a byte each, lowest bit first, and end in zeros.

Source: Sarfi et al. 2025 (SparseLoCo, arXiv 2508.15706) for the method; Rice 1979 for the gaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from concord.base.tensors import FloatArray
from concord.update.codecs.interface import (
    WINDOW,
    Codec,
    check_decoded,
    check_encodable,
    check_length,
    malformed,
)
from concord.update.sums import tree_sum

CHUNK = 4096
Bits = NDArray[np.uint8]
Indices = NDArray[np.int64]


class Sparse(Codec):
    """Top-k per chunk, quantised.

    Args:
        kept: Values kept of a whole chunk.
        bits: Bits of a value's bin.
        rice: Low bits of a gap, log2 of the mean gap or one less.
    """

    feeds_back = True

    def __init__(self, *, kept: int, bits: int, rice: int) -> None:
        self.kept, self.bits, self.rice = kept, bits, rice

    def kept_of(self, size: int) -> int:
        """Number of values that travel of a tensor of `size`."""
        return size // CHUNK * self.kept + -(-(size % CHUNK) * self.kept // CHUNK)

    def least_bytes(self, size: int) -> int:
        kept = self.kept_of(size)
        return self._head(kept) + -(-kept // 8)

    def most_bytes(self, size: int) -> int:
        # The gaps of a chunk add up to at most its length less the kept values.
        kept, per_chunk = self.kept_of(size), (CHUNK - self.kept) >> self.rice
        tail = size % CHUNK
        upper = size // CHUNK * per_chunk + ((tail - self.kept_of(tail)) >> self.rice)
        return self._head(kept) + -(-(kept + upper) // 8)

    def _head(self, kept: int) -> int:
        table = 4 << self.bits if kept else 0
        return table + -(-kept * self.bits // 8) + -(-kept * self.rice // 8)

    def encode(self, values_D: FloatArray) -> bytes:
        check_encodable(values_D)
        if not values_D.size:
            return b""
        indices, gaps = [], []
        for start in range(0, values_D.size, WINDOW):
            offset = start
            for chunks, kept in self._chunks(values_D[start : start + WINDOW]):
                places = _largest(np.abs(chunks), kept)
                gaps.append(np.diff(places, prepend=-1, axis=1).reshape(-1) - 1)
                first = np.arange(len(chunks))[:, None] * CHUNK + offset
                indices.append((places + first).reshape(-1))
                offset += chunks.size
        table, codes = self._bins(values_D[np.concatenate(indices)])
        gap = np.concatenate(gaps)
        return b"".join(
            [
                table.astype("<f4").tobytes(),
                _pack(codes, self.bits),
                _pack(gap & (2**self.rice - 1), self.rice),
                _pack_unary(gap >> self.rice),
            ]
        )

    def _chunks(self, values: FloatArray) -> Iterator[tuple[FloatArray, int]]:
        """Whole chunks as rows, then the shorter last one, with what each keeps."""
        whole = values.size - values.size % CHUNK
        if whole:
            yield values[:whole].reshape(-1, CHUNK), self.kept
        if whole < values.size:
            yield values[None, whole:], self.kept_of(values.size % CHUNK)

    def _bins(self, kept_K: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
        """Mean of each bin (0 where it is empty), and the bin of each value."""
        wide_K = kept_K.astype(np.float64)
        mean = tree_sum(wide_K) / wide_K.size
        deviation_K = wide_K - mean
        sigma = math.sqrt(tree_sum(deviation_K * deviation_K) / wide_K.size)
        half = 2 ** (self.bits - 1)
        edges = [mean + 3 * sigma * step / half for step in range(1 - half, half)]
        codes = np.zeros(wide_K.size, np.int64)
        for edge in edges:
            codes += wide_K >= edge
        table = np.zeros(2 * half, np.float32)
        for code in range(2 * half):
            members = wide_K[codes == code]
            if members.size:
                table[code] = tree_sum(members) / members.size
        return table, codes

    def windows(self, data: memoryview, size: int, length: int = WINDOW) -> Iterator[FloatArray]:
        values_D = self.decode(data, size)
        for start in range(0, size, length):
            yield values_D[start : start + length]

    def decode(self, data: bytes | memoryview, size: int) -> FloatArray:
        data = memoryview(data)
        check_length(self, data, size)
        values_D = np.zeros(size, np.float32)
        kept = self.kept_of(size)
        if not kept:
            return values_D
        rest = np.frombuffer(data, np.uint8)
        table_bytes, rest = np.split(rest, [4 << self.bits])
        codes, rest = _unpack(rest, kept, self.bits)
        low, rest = _unpack(rest, kept, self.rice)
        gaps = (_unpack_unary(rest, kept) << self.rice) | low
        values_D[self._indices(gaps, size)] = self._table(table_bytes, codes)[codes]
        return values_D

    def _table(self, data: Bits, codes: NDArray[np.int64]) -> FloatArray:
        table = np.frombuffer(data.tobytes(), "<f4").astype(np.float32)
        check_decoded(table)
        unused = np.bincount(codes, minlength=table.size) == 0
        if table[unused].view(np.uint32).any():
            malformed("holds a mean for a bin without values")
        return table

    def _indices(self, gaps: Indices, size: int) -> Indices:
        whole, tail = divmod(size, CHUNK)
        places = np.cumsum(gaps[: whole * self.kept].reshape(whole, self.kept) + 1, axis=1) - 1
        tail_places = np.cumsum(gaps[whole * self.kept :] + 1) - 1
        if (places >= CHUNK).any() or (tail_places >= tail).any():
            malformed("holds an index outside its chunk")
        places += np.arange(whole)[:, None] * CHUNK
        return np.concatenate([places.reshape(-1), tail_places + whole * CHUNK])


def _largest(magnitudes_CK: FloatArray, kept: int) -> Indices:
    """Columns of the `kept` largest values of each row, ascending; of equals the first ones."""
    cut = magnitudes_CK.shape[1] - kept
    least_C1 = np.partition(magnitudes_CK, cut, axis=1)[:, cut : cut + 1]
    chosen = magnitudes_CK >= least_C1
    crowded = np.flatnonzero(np.count_nonzero(chosen, axis=1) > kept)
    if crowded.size:
        equal = magnitudes_CK[crowded] == least_C1[crowded]
        above = magnitudes_CK[crowded] > least_C1[crowded]
        room = kept - np.count_nonzero(above, axis=1)
        chosen[crowded] = above | (equal & (np.cumsum(equal, axis=1) <= room[:, None]))
    return np.nonzero(chosen)[1].reshape(len(magnitudes_CK), kept)


def _pack(numbers: NDArray[np.int64], bits: int) -> bytes:
    digits = (numbers[:, None] >> np.arange(bits)) & 1
    return np.packbits(digits.astype(np.uint8).reshape(-1), bitorder="little").tobytes()


def _unpack(data: Bits, count: int, bits: int) -> tuple[Indices, Bits]:
    """`count` numbers of `bits` each, and the bytes after them."""
    mine, rest = np.split(data, [-(-count * bits // 8)])
    digits = np.unpackbits(mine, bitorder="little")
    if digits[count * bits :].any():
        malformed("holds bits after its last number")
    digits_KB = digits[: count * bits].reshape(count, bits)
    numbers = np.zeros(count, np.int64)
    for place in range(bits):
        numbers |= digits_KB[:, place].astype(np.int64) << place
    return numbers, rest


def _pack_unary(numbers: Indices) -> bytes:
    ends = np.cumsum(numbers + 1) - 1
    digits = np.zeros(int(ends[-1]) + 1, np.uint8)
    digits[ends] = 1
    return np.packbits(digits, bitorder="little").tobytes()


def _unpack_unary(data: Bits, count: int) -> Indices:
    ends = np.flatnonzero(np.unpackbits(data, bitorder="little"))
    if ends.size != count or data.size != -(-(int(ends[-1]) + 1) // 8):
        malformed("holds another number of gaps than its size asks for")
    return np.diff(ends, prepend=-1) - 1

"""What an integer update consists of, and what a step of each tensor is worth.

    c_T = 8 sqrt(n) RMS(last merged update of tensor T),  within a factor 2 of the round before

Members clip values to +-c_T and write them as integers of magnitude Q at most. With near-orthogonal
updates sqrt(n) RMS of their mean is the RMS of one, so c_T is about eight standard deviations. The
table follows from public facts, is an object of its round, and fixes the length of every payload.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from concord.base.canonical import canonical_json, parse_canonical
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import DocumentError
from concord.base.tensors import FloatArray
from concord.crypto.seal.ring import CHECK_ELEMENTS, Ring
from concord.update.codecs import WINDOW
from concord.update.layout import MAX_TENSORS
from concord.update.sums import norm

SPREAD = 8.0
LARGEST_CHANGE = 2.0
SMALLEST_CLIP, LARGEST_CLIP = 2.0**-60, 2.0**60
MAX_TABLE_BYTES = 64 << 20
_VERSION = 1


@dataclass(frozen=True)
class Scale:
    """One tensor: its name, its number of values, and c_T, a float32.

    Raises:
        DocumentError: no value, or a c_T that is no float32 between 2^-60 and 2^60.
    """

    name: str
    size: int
    clip: float

    def __post_init__(self) -> None:
        if type(self.size) is not int or self.size < 1:
            raise DocumentError("has no values", where=self.name)
        within = SMALLEST_CLIP <= self.clip <= LARGEST_CLIP
        if not within or float(np.float32(self.clip)) != self.clip:
            raise DocumentError(f"{self.clip!r} is no float32 in range", where=self.name)


@dataclass(frozen=True)
class ScaleTable:
    """The tensors of an integer update, in the order of names.

    Args:
        ring_bits: Bits of one element, 16 or 32.
        members: Size of the largest cohort, which leaves room for its sum.

    Raises:
        DocumentError: names out of order or twice, or no tensor at all.
        SealRefused: sums of so many members could wrap the ring.
    """

    ring_bits: int
    members: int
    tensors: tuple[Scale, ...]

    def __post_init__(self) -> None:
        Ring(self.ring_bits, self.members)
        names = [one.name for one in self.tensors]
        if names != sorted(set(names)) or not 0 < len(names) <= MAX_TENSORS:
            raise DocumentError("tensors are not in the order of names", where="scale table")

    @cached_property
    def ring(self) -> Ring:
        return Ring(self.ring_bits, self.members)

    @cached_property
    def count(self) -> int:
        """Elements of a vector, check elements included."""
        return sum(one.size for one in self.tensors) + CHECK_ELEMENTS

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each tensor begins in a vector."""
        return tuple(np.cumsum([0, *(one.size for one in self.tensors)]).tolist()[:-1])

    def encode(self) -> bytes:
        """Canonical JSON; c_T as an exact hexadecimal float, since JSON here holds no floats."""
        return canonical_json(
            {
                "members": self.members,
                "ring_bits": self.ring_bits,
                "tensors": [[one.name, one.size, one.clip.hex()] for one in self.tensors],
                "version": _VERSION,
            }
        )

    @cached_property
    def digest(self) -> Digest:
        return digest_bytes(self.encode())

    @cached_property
    def hash16(self) -> bytes:
        """First 16 bytes of the digest, as the header of a payload names it."""
        return bytes.fromhex(self.digest.removeprefix("sha256:"))[:16]

    @classmethod
    def decode(cls, data: bytes) -> ScaleTable:
        """Read what `encode` writes.

        Raises:
            DocumentError, SealRefused: it is something else.
        """
        value = parse_canonical(data, where="scale table", max_bytes=MAX_TABLE_BYTES)
        keys = {"members", "ring_bits", "tensors", "version"}
        if not isinstance(value, dict) or set(value) != keys or value["version"] != _VERSION:
            raise DocumentError("has other keys, or another version", where="scale table")
        if type(value["ring_bits"]) is not int or type(value["members"]) is not int:
            raise DocumentError("holds something that is no whole number", where="scale table")
        if not isinstance(value["tensors"], list):
            raise DocumentError("is not a list", where="scale table.tensors")
        tensors = tuple(_scale(entry) for entry in value["tensors"])
        found = cls(value["ring_bits"], value["members"], tensors)
        if found.encode() != data:
            raise DocumentError("is not in its one form", where="scale table")
        return found


def next_scales(table: ScaleTable, rms: Mapping[str, float], contributors: int) -> ScaleTable:
    """The table of the next round.

    Args:
        table: That of this round.
        rms: Root mean square of each tensor of this round's merged update; see `tensor_rms`.
        contributors: Members whose updates went in, over all cohorts.
    """
    tensors = (
        Scale(one.name, one.size, _clip(one.clip, rms[one.name], contributors))
        for one in table.tensors
    )
    return ScaleTable(table.ring_bits, table.members, tuple(tensors))


def tensor_rms(values_D: FloatArray) -> float:
    """Root mean square of a flat tensor, the same on every machine."""
    windows = (values_D[at : at + WINDOW] for at in range(0, values_D.size, WINDOW))
    return norm(windows) / math.sqrt(values_D.size)


def _clip(before: float, rms: float, contributors: int) -> float:
    wanted = SPREAD * math.sqrt(contributors) * rms
    bounded = min(max(wanted, before / LARGEST_CHANGE), before * LARGEST_CHANGE)
    return float(np.float32(min(max(bounded, SMALLEST_CLIP), LARGEST_CLIP)))


def _scale(entry: Any) -> Scale:
    where = "scale table.tensors"
    kinds = [str, int, str]
    if not isinstance(entry, list) or [type(part) for part in entry] != kinds:
        raise DocumentError("an entry is not name, size and c_T", where=where)
    try:
        return Scale(entry[0], entry[1], float.fromhex(entry[2]))
    except (ValueError, OverflowError) as error:
        raise DocumentError("a c_T is no hexadecimal float", where=where) from error

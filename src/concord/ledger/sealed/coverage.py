"""Which vocabulary rows are left out of sealed rounds, because too few members declare them.

A sum hides nothing that one member alone contributes. Who contributes to a row is never decided
from what members send, since that would be the leak; it follows from what is public: the
languages that the roster declares, and in whose lines of the parallel set a token occurs. Rows
left out stay as the first base made them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from concord.base.canonical import canonical_json, parse_canonical
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import ConcordError, DocumentError
from concord.base.roles import weight_role
from concord.base.tensors import FloatArray
from concord.charter.run import RunDocument
from concord.ledger.layouts import STATE_SEPARATOR
from concord.update.layout import Entry

Rows = NDArray[np.bool_]
MAX_COVERAGE_BYTES = 16 << 20


@dataclass(frozen=True)
class Coverage:
    """One token after the other: whether enough members declare a language that it occurs in.

    Args:
        left_out: One byte per token, 1 where its row is left out; empty if there is no vocabulary
            to speak of.
    """

    left_out: bytes

    @cached_property
    def rows(self) -> Rows:
        """[tokens] True where a row is left out."""
        return np.frombuffer(self.left_out, np.uint8).astype(np.bool_)

    def encode(self) -> bytes:
        """Canonical JSON: the number of tokens, and those left out."""
        return canonical_json(
            {"left_out": np.flatnonzero(self.rows).tolist(), "tokens": len(self.left_out)}
        )

    @cached_property
    def digest(self) -> Digest:
        return digest_bytes(self.encode())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` writes.

        Raises:
            DocumentError: it is something else.
        """
        where = "coverage"
        try:
            value = parse_canonical(data, where=where, max_bytes=MAX_COVERAGE_BYTES)
            rows = np.zeros(int(value["tokens"]), np.uint8)
            rows[np.array(value["left_out"], np.int64)] = 1
        except (ConcordError, KeyError, TypeError, ValueError, IndexError) as error:
            raise DocumentError("is no list of vocabulary rows", where=where) from error
        found = cls(rows.tobytes())
        if found.encode() != data:
            raise DocumentError("is not in its one form", where=where)
        return found

    def hidden_rows(self, entry: Entry) -> Rows | None:
        """[rows] Those of a tensor that are left out; None if the tensor has none."""
        count = len(self.left_out)
        if not count or not self.rows.any() or not _by_token(entry):
            return None
        rows = np.zeros(entry.spec.shape[0], np.bool_)
        rows[: min(count, rows.size)] = self.rows[: rows.size]
        return rows

    def without(self, entry: Entry, values: FloatArray) -> FloatArray:
        """The values with zeros in the rows that are left out."""
        rows = self.hidden_rows(entry)
        if rows is None:
            return values
        found = np.array(values)
        found[rows] = 0.0
        return found


EVERYTHING = Coverage(b"")
"""No row is left out."""


def coverage_of(
    run: RunDocument,
    tokens: int,
    occurring: Mapping[str, NDArray[np.int64]],
    possible: Mapping[str, NDArray[np.int64]] = MappingProxyType({}),
) -> Coverage:
    """The rows that are left out.

    Args:
        tokens: Size of the vocabulary.
        occurring: Of each language of the parallel set: ids of the tokens in its lines.
        possible: Of each language: ids of tokens that occur in no line and could be of it. They
            are trained only if all languages that they could be of are named as lone ones.
    """
    seal = run.seal
    if seal is None:
        return EVERYTHING
    declared: dict[str, set[str]] = {}
    for member in run.roster:
        for language in member.languages:
            declared.setdefault(language, set()).add(member.owner or member.id)
    owners = sorted(set().union(*declared.values()) if declared else ())
    contributes_OV = np.zeros((len(owners), tokens), np.bool_)
    named_V = np.zeros(tokens, np.bool_)
    for language, ids in occurring.items():
        mine = declared.get(language, set())
        for number in (owners.index(owner) for owner in mine):
            contributes_OV[number, ids] = True
        enough = seal.lone_languages.get(language)
        if enough is not None and len(mine) >= enough:
            named_V[ids] = True
    named_V |= _of_named_only(possible, tokens, set(seal.lone_languages))
    covered_V = (contributes_OV.sum(axis=0) >= seal.min_contributors) | named_V
    return Coverage((~covered_V).astype(np.uint8).tobytes())


def _of_named_only(
    possible: Mapping[str, NDArray[np.int64]], tokens: int, named: Collection[str]
) -> Rows:
    could_V, unnamed_V = np.zeros(tokens, np.bool_), np.zeros(tokens, np.bool_)
    for language, ids in possible.items():
        could_V[ids] = True
        if language not in named:
            unnamed_V[ids] = True
    return could_V & ~unnamed_V


def _by_token(entry: Entry) -> bool:
    """Whether a tensor has one row per token: an embedding, or the state of one."""
    name = entry.name.rpartition(STATE_SEPARATOR)[2]
    return weight_role(name, (1, 1)) == "embedding"

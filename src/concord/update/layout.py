"""What an update consists of: which tensors, in which order, in which codec.

The layout follows from the run document and the base, never from a message, so a payload needs to
say nothing about itself but a digest. Order is the order of names, everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from concord.base.digest import Digest, digest_json
from concord.base.errors import UpdateError
from concord.base.tensors import TensorSpec
from concord.update.codecs import CODECS, CodecName

COUNTS_NAME = "token_counts"
SECOND_MOMENT = "second_moment/"
MAX_TENSORS = 1 << 20
# Nothing below '$': '#' separates a tensor from what the outer optimiser keeps of it, and sorts
# before every character of a name, so both lists are in the same order.
_NAME = re.compile(r"[$-~]{1,240}")


class Role(StrEnum):
    """What a tensor is to screening and merging."""

    BODY = "body"
    """A matrix of the network, merged by the rule of the run."""
    EMBEDDING = "embedding"
    """One row per token; averaged, by row where the run says so."""
    VECTOR = "vector"
    """Norms and biases; averaged."""
    STATE = "state"
    """Inner optimiser state: averaged as it is, not a difference, not part of the norm."""
    COUNTS = "counts"
    """How often a member met each token: weighs embedding rows, and is not sent back."""


DIFFERENCES = frozenset({Role.BODY, Role.EMBEDDING, Role.VECTOR})


@dataclass(frozen=True)
class Entry:
    """One tensor of an update.

    Raises:
        UpdateError: the name cannot be used, or there is no such codec.
    """

    spec: TensorSpec
    role: Role
    codec: CodecName

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.spec.name):
            raise UpdateError("is not a name for a tensor", where=repr(self.spec.name)[:120])
        if self.codec not in CODECS:
            raise UpdateError(
                f"there is no codec {self.codec!r}",
                where=self.spec.name,
                remedy=f"use one of {', '.join(sorted(CODECS))}",
            )

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def is_weight(self) -> bool:
        """True for a pseudo-gradient, False for state and counts."""
        return self.role in DIFFERENCES

    @property
    def is_never_negative(self) -> bool:
        """True for second moments and counts."""
        return self.role is Role.COUNTS or (
            self.role is Role.STATE and self.name.startswith(SECOND_MOMENT)
        )


@dataclass(frozen=True)
class Layout:
    """The tensors of an update, sorted by name whatever order they are given in.

    Raises:
        UpdateError: a name comes twice, or there are more than `MAX_TENSORS`.
    """

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.entries, key=lambda entry: entry.name))
        if len({entry.name for entry in ordered}) != len(ordered):
            raise UpdateError("a layout names one tensor twice")
        if len(ordered) > MAX_TENSORS:
            raise UpdateError(f"a layout of {len(ordered):,} tensors is over {MAX_TENSORS:,}")
        object.__setattr__(self, "entries", ordered)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    @cached_property
    def by_name(self) -> dict[str, Entry]:
        """Entries by name."""
        return {entry.name: entry for entry in self.entries}

    @cached_property
    def counts(self) -> Entry | None:
        """The entry with token counts, if members send them."""
        return next((entry for entry in self.entries if entry.role is Role.COUNTS), None)

    @cached_property
    def byte_bounds(self) -> tuple[tuple[int, int], ...]:
        """Least and most bytes of each encoded tensor, in order."""
        codecs = ((CODECS[entry.codec], entry.spec.size) for entry in self.entries)
        return tuple((codec.least_bytes(size), codec.most_bytes(size)) for codec, size in codecs)

    @cached_property
    def digest(self) -> Digest:
        """Digest of names, shapes, roles and codecs: updates can be merged if theirs agree."""
        return digest_json(
            [[e.name, list(e.spec.shape), str(e.role), str(e.codec)] for e in self.entries]
        )

    @cached_property
    def names_digest(self) -> Digest:
        """Digest of the names alone: tells another model from another shape."""
        return digest_json([entry.name for entry in self.entries])

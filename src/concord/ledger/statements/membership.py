"""Who founds a federation, joins, leaves, holds which key, and runs the coordinator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from concord.base.digest import Digest
from concord.charter.document import Document, Identifier
from concord.ledger.statements.fields import (
    MAX_PARTIES,
    Body,
    Count,
    DigestText,
    KeyText,
    Line,
)

MemberKind = Literal[
    "public-institution", "research-institution", "non-profit", "company", "unstated"
]


class MemberEntry(Document):
    """A member as it is admitted: what votes and caps need, and its keys."""

    id: Identifier
    name: Line = ""
    owner: Identifier | None = None
    """Legal owner, whose influence is capped as a whole; None means the member itself."""
    kind: MemberKind = "unstated"
    """What its legal owner is; policies can ask about the members of a round."""
    jurisdiction: Line = ""
    speakers: Count = 1
    """Speakers of its languages, for votes weighted by them."""
    population: Count = 1
    key: KeyText
    """Signs the member's statements."""
    witness_key: KeyText
    """Cosigns checkpoints of the log, and nothing else."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.key == self.witness_key:
            raise ValueError("key and witness_key must be different keys")
        return self

    @property
    def legal_owner(self) -> str:
        return self.owner or self.id


class OverseerEntry(Document):
    """A person of the oversight body: may read all and halt; may not train, vote or release."""

    id: Identifier
    name: Line = ""
    jurisdiction: Line = ""
    key: KeyText


class CoordinatorEntry(Document):
    """Which member runs the coordinator, and the key that signs the log's checkpoints for it."""

    member: Identifier
    log_key: KeyText


class Founding(Body):
    """The first entry: who founds the federation under which charter. Every founder signs.

    The digest of this statement is the federation's name everywhere else.
    """

    KIND: ClassVar[str] = "founding"
    name: Identifier
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    charter: DigestText
    members: Annotated[tuple[MemberEntry, ...], Field(min_length=1, max_length=MAX_PARTIES)]
    overseers: Annotated[tuple[OverseerEntry, ...], Field(max_length=64)] = ()
    coordinator: CoordinatorEntry

    @model_validator(mode="after")
    def _checked(self) -> Self:
        ids = [m.id for m in self.members] + [o.id for o in self.overseers]
        if len(set(ids)) != len(ids):
            raise ValueError("two parties have the same id")
        keys = [k for m in self.members for k in (m.key, m.witness_key)]
        keys += [o.key for o in self.overseers] + [self.coordinator.log_key]
        if len(set(keys)) != len(keys):
            raise ValueError("one key stands in two places")
        if self.coordinator.member not in {m.id for m in self.members}:
            raise ValueError("the coordinator is no member")
        return self

    def subjects(self) -> Mapping[str, Digest]:
        return {"charter": self.charter}


class Join(Body):
    """An application. Signed with the applicant's key, which need not be known yet."""

    KIND: ClassVar[str] = "join"
    member: MemberEntry


class Leave(Body):
    """A member leaves, alone and at once. Its grants end; published models cannot be recalled."""

    KIND: ClassVar[str] = "leave"
    past_work: Literal["stays", "removed"] = "stays"
    """Whether its past updates stay in the base, or the next run starts before it came."""
    reason: Line = ""


class KeyRotation(Body):
    """A new key in place of an old one. Signed with both, and with the party's identity key."""

    KIND: ClassVar[str] = "key-rotation"
    purpose: Literal["identity", "witness"]
    old: KeyText
    new: KeyText

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.old == self.new:
            raise ValueError("old and new are the same key")
        return self


class KeyRevocation(Body):
    """A lost or stolen key counts no more, from this entry on.

    Signed by the party itself, with that very key or its identity key; or, when the party lost its
    keys or needs a replacement, by so many members as may take over the coordinator's role.
    """

    KIND: ClassVar[str] = "key-revocation"
    party: Identifier
    key: KeyText
    replacement: KeyText | None = None
    reason: Line = ""


class Handover(Body):
    """Another member runs the coordinator from this entry on.

    `handover` is signed by the old and the new one; `takeover` by the new one and as large a share
    of the members as the charter asks, when the old one is silent or refuses.
    """

    KIND: ClassVar[str] = "handover"
    manner: Literal["handover", "takeover"]
    term: Count
    """Number of the term that begins: one more than the present one."""
    coordinator: CoordinatorEntry
    reason: Line = ""

"""What is said in sealed mode: keys and cohorts of an epoch, and the steps of a sealed round.

    seal-epoch ─► key-epoch… ─► key-set ─► seal-beacon… ─► seal-cohorts ─► key-seal…
    round-plan ─► grant, seal-setup… ─► masking-set ─► update-commit… ─► survivor-set ─► unmask…
               ─► round-record, or round-void

Everything in here is public: ciphertexts for one member, commitments, and shares that are shown
once it is settled whose. What is inside the bytes is decided by `concord.crypto.seal`; here stand
who says what, when, and how long it may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from concord.base.digest import Digest
from concord.charter.document import Identifier
from concord.crypto.base64text import from_base64
from concord.ledger.statements.fields import Body, Count, DigestText, Line, Real
from concord.ledger.statements.rounds import Privacy

MAX_COHORT = 23
"""A cohort's ciphertexts fit into one entry of the log; so large is one of `cohort_target` 12."""
MAX_SEALED_MEMBERS = 200


def _bytes(value: str) -> str:
    from_base64(value)
    return value


Bytes = Annotated[str, Field(max_length=46_000), AfterValidator(_bytes)]
"""Bytes in base64, in their one form."""
Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
CohortMembers = Annotated[tuple[Identifier, ...], Field(min_length=3, max_length=MAX_COHORT)]
_Members = Annotated[tuple[Identifier, ...], Field(min_length=3, max_length=MAX_SEALED_MEMBERS)]


def _sorted(members: tuple[str, ...], what: str) -> None:
    if list(members) != sorted(set(members)):
        raise ValueError(f"{what} must be sorted and name nobody twice")


class SealBody(Body):
    """Sealed mode belongs to a run."""

    NEEDS_RUN: ClassVar[bool] = True


class EpochOpened(SealBody):
    """The coordinator asks members for keys: at the start, and when they have to be made anew."""

    KIND: ClassVar[str] = "seal-epoch"
    number: Count
    members: _Members
    reason: Line

    @model_validator(mode="after")
    def _checked(self) -> Self:
        _sorted(self.members, "members")
        return self


class _OfEpoch(SealBody):
    epoch: DigestText
    """Digest of the statement that opened the epoch."""

    def subjects(self) -> Mapping[str, Digest]:
        return {"epoch": self.epoch}


class KeyShown(_OfEpoch):
    """A member's public key for the epoch, and its commitment to a beacon for the draw."""

    KIND: ClassVar[str] = "key-epoch"
    content: Bytes
    """`concord.crypto.seal.epoch.EpochKey`."""
    coverage: DigestText
    """Digest of the vocabulary rows that it found to have too few contributors."""


class KeysClosed(_OfEpoch):
    """The coordinator closes the list of keys; who is not on it is out for the epoch."""

    KIND: ClassVar[str] = "key-set"
    keys: Annotated[dict[Identifier, DigestText], Field(min_length=3, max_length=256)]
    """Digest of each member's key statement."""


class BeaconShown(_OfEpoch):
    """A member opens its commitment; who does not is out for the epoch."""

    KIND: ClassVar[str] = "seal-beacon"
    beacon: Hex32


class CohortsDrawn(_OfEpoch):
    """Cohorts, as they follow from all beacons; anyone draws them again."""

    KIND: ClassVar[str] = "seal-cohorts"
    cohorts: Annotated[tuple[CohortMembers, ...], Field(min_length=1, max_length=64)]


class KeysSealed(_OfEpoch):
    """A secret of the sender for each other member of its cohort, sealed to that member's key."""

    KIND: ClassVar[str] = "key-seal"
    content: Bytes
    """For each other member in the order of ids: 1,168 bytes that it alone opens."""


class SealedRoundBody(SealBody):
    """Belongs to a planned round."""

    NEEDS_ROUND: ClassVar[bool] = True
    plan: DigestText
    """Digest of the plan's statement."""

    def subjects(self) -> Mapping[str, Digest]:
        return {"plan": self.plan}


class SealSetUp(SealedRoundBody):
    """A member's set-up of the round: tags, commitments, encrypted shares. No update yet."""

    KIND: ClassVar[str] = "seal-setup"
    content: Bytes


class MaskingSet(SealedRoundBody):
    """Whose masks a cohort's updates carry. One per round, attempt and cohort, for ever."""

    KIND: ClassVar[str] = "masking-set"
    cohort: Count
    """Number of the cohort in its epoch."""
    members: CohortMembers

    @model_validator(mode="after")
    def _checked(self) -> Self:
        _sorted(self.members, "members")
        return self


class UpdateCommitted(SealedRoundBody):
    """A member's masked update, by digest, and the work it declares, which is never weighed.

    Its loss is not told: that would be a number about its text alone.
    """

    KIND: ClassVar[str] = "update-commit"
    base: DigestText
    update: DigestText
    """Digest of the masked file."""
    bytes: Count
    hidden: Hex32
    """Commitment to the update without its mask, which nobody can open but the member."""
    steps: Count
    tokens: Count
    flops: Count
    train_s: Real
    privacy: Privacy = ()
    """Budgets of the datasets that were trained on under noise, after this round."""

    def subjects(self) -> Mapping[str, Digest]:
        return {"plan": self.plan, "base": self.base, "update": self.update}


class SurvivorSet(SealedRoundBody):
    """Whose updates a cohort's sum has. One per round, attempt and cohort, for ever."""

    KIND: ClassVar[str] = "survivor-set"
    cohort: Count
    members: CohortMembers

    @model_validator(mode="after")
    def _checked(self) -> Self:
        _sorted(self.members, "members")
        return self


class Unmasked(SealedRoundBody):
    """A survivor's shares: of the own mask of each survivor, of the pair seed of each other."""

    KIND: ClassVar[str] = "unmask"
    content: Bytes

"""What is said while a sealed run learns its tokenizer, before its first round.

    seal-epoch … key-seal ─► count-plan ─► seal-setup… ─► masking-set ─► update-commit…
                          ─► survivor-set ─► unmask… ─► tokenizer, or round-void

Keys, set-ups, sets and shares are said as in a sealed round (`sealing`). What members agree on with
their keys is the list of merges that they count; what they commit to are masked counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from concord.base.digest import Digest
from concord.charter.document import Identifier
from concord.ledger.statements.fields import Count, DigestText
from concord.ledger.statements.sealing import MAX_SEALED_MEMBERS, SealBody


class CountsPlanned(SealBody):
    """The coordinator asks members to count the merges of a public list, for one sealed sum."""

    KIND: ClassVar[str] = "count-plan"
    NEEDS_ROUND: ClassVar[bool] = True
    attempt: Count
    term: Count
    roster: Annotated[tuple[Identifier, ...], Field(min_length=3, max_length=MAX_SEALED_MEMBERS)]
    epoch: DigestText
    merges: DigestText
    """The list, among the objects: `concord.data.bpe.listed`."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if list(self.roster) != sorted(set(self.roster)):
            raise ValueError("roster must be sorted and name nobody twice")
        return self

    def subjects(self) -> Mapping[str, Digest]:
        return {"epoch": self.epoch, "merges": self.merges}

    @property
    def base(self) -> Digest:
        """What members start from: the list."""
        return self.merges


class TokenizerLearned(SealBody):
    """The tokenizer that follows from the list and the sums of counts; anyone computes it again."""

    KIND: ClassVar[str] = "tokenizer"
    NEEDS_ROUND: ClassVar[bool] = True
    epoch: DigestText
    plan: DigestText | None
    """The plan whose sums it was learned from; None if no sum could be had, and the list alone
    decides."""
    merges: DigestText
    tokenizer: DigestText
    counts: Annotated[dict[Identifier, DigestText], Field(max_length=MAX_SEALED_MEMBERS)]
    """Masked counts of each member that is in a sum."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if (self.plan is None) != (not self.counts):
            raise ValueError("counts belong to a plan, and a plan has counts")
        return self

    def subjects(self) -> Mapping[str, Digest]:
        found = {"epoch": self.epoch, "merges": self.merges, "tokenizer": self.tokenizer}
        if self.plan is not None:
            found["plan"] = self.plan
        return found | {f"counts/{member}": one for member, one in self.counts.items()}

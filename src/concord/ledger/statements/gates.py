"""What the probe gate found in a round: said by the coordinator, for anybody to compute again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from concord.base.digest import Digest
from concord.charter.document import Identifier
from concord.ledger.statements.fields import MAX_PARTIES, Body, DigestText, Real


class GateReport(Body):
    """What each update of a round did to the public probes, and which are left out for it."""

    KIND: ClassVar[str] = "gate-report"
    NEEDS_RUN: ClassVar[bool] = True
    NEEDS_ROUND: ClassVar[bool] = True
    plan: DigestText
    base: DigestText
    probes: DigestText
    """The probe set that the run's opening committed to."""
    updates: Annotated[dict[Identifier, DigestText], Field(max_length=MAX_PARTIES)]
    benefits: Annotated[dict[Identifier, Real], Field(max_length=MAX_PARTIES)]
    """Of each update, nats per token by which the probes are better with it than without it, mean
    over languages."""
    values: DigestText
    """The same by language, among the objects."""
    quarantined: Annotated[tuple[Identifier, ...], Field(max_length=MAX_PARTIES)] = ()

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.benefits.keys() != self.updates.keys():
            raise ValueError("every update has a benefit, and nothing else has one")
        if list(self.quarantined) != sorted(set(self.quarantined)):
            raise ValueError("quarantined must be sorted and name nobody twice")
        return self

    def subjects(self) -> Mapping[str, Digest]:
        found = {"plan": self.plan, "base": self.base, "probes": self.probes, "values": self.values}
        return found | {f"update/{member}": one for member, one in self.updates.items()}

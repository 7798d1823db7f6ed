"""The terms of a dataset: what it is, whose it is, and what may be done with it.

They are written by a person in a member's dataset file, and copied word for word into the record.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from concord.charter.dataset.fields import (
    MAX_ENTRIES,
    Epsilon,
    Languages,
    Licences,
    Line,
    Lines,
    Names,
    Place,
    Places,
)
from concord.charter.document import Document
from concord.charter.fields import Day, Text

Tier = Literal["P", "R", "L"]
Sensitivity = Literal["public", "internal", "confidential", "personal"]
Stage = Literal["pretraining", "expert", "evaluation", "local"]
Treatment = Literal["keep", "mask", "leave_out"]

TIER_WORDS: dict[Tier, str] = {
    "P": "irrevocable: trains the joint model; a revocation stops future rounds, and what the model"
    " learned before stays",
    "R": "revocable: trains only a module beside the joint model, which can be removed whole",
    "L": "local: trains only what the member makes for itself; nothing made of it leaves",
}


class DatasetTerms(Document):
    """What a member says of a dataset and its use."""

    title: Line
    description: Text
    languages: Languages
    """BCP 47 tags."""
    sources: Lines
    """Where the text comes from, in words or as addresses; never a path of the member."""
    licences: Licences
    """Under which the member holds the text: SPDX ids, or `LicenseRef-…`."""
    rights_holder: Line
    rights_url: Line | None = None
    """A page that says under which terms the text may be used."""
    collected: Annotated[tuple[Day, ...], Field(max_length=2)] = ()
    """First and last day on which the text was written or gathered."""
    origin: Places
    """Where the text comes from."""

    sensitivity: Sensitivity
    tier: Tier
    """P irrevocable, R revocable, L local; see `TIER_WORDS`."""
    purposes: Names
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=MAX_ENTRIES)]
    model_licences: Licences
    """Licences that a model trained on it may be released under."""
    residency: Places
    """Where the text may be stored and processed."""
    not_in: Annotated[tuple[Place, ...], Field(max_length=MAX_ENTRIES)] = ()
    """Where it may be neither stored nor processed."""
    expires: Day
    """From this day on the text is not used, 00:00 UTC."""
    max_epsilon: Epsilon = Decimal("0")
    """Budget of record-level differential privacy, where it is trained with."""

    raw_text_may_leave: bool = False
    derived_may_leave: bool = False
    """Whether what is made of it, other than updates, may leave: counts, samples, experts."""
    updates_may_leave: bool
    consent: Line
    """Where the consent of those whose text it is, or the ground without it, is documented."""
    community_review: Line
    """Who of the community reviewed the use, and when; or that nobody did."""
    benefit_sharing: Line | None = None
    privacy_techniques: Annotated[tuple[Line, ...], Field(max_length=MAX_ENTRIES)] = ()
    personal_data: Treatment = "keep"
    """What is done with documents in which personal data is found, before anything is trained."""

    biases: Annotated[tuple[Line, ...], Field(max_length=MAX_ENTRIES)] = ()
    limitations: Annotated[tuple[Line, ...], Field(max_length=MAX_ENTRIES)] = ()
    social_impact: Text | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        stages = set(self.stages)
        if self.tier != "P" and "pretraining" in stages:
            raise ValueError(
                f"tier {self.tier} cannot have the stage 'pretraining': what a joint model learned"
                " cannot be taken out of it again; choose tier P, or other stages"
            )
        if self.tier == "L" and (stages != {"local"} or self.updates_may_leave):
            raise ValueError(
                "tier L has the stage 'local' alone, and updates_may_leave = false: nothing made"
                " of it leaves"
            )
        if "pretraining" in stages and not self.updates_may_leave:
            raise ValueError(
                "the stage 'pretraining' sends updates, and updates_may_leave is false"
            )
        if set(self.residency) & set(self.not_in):
            raise ValueError("a place is named in residency and in not_in")
        if len(self.collected) == 2 and self.collected[0] > self.collected[1]:
            raise ValueError("collected begins after it ends")
        return self

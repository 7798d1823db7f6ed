"""What a member says of the privacy budget of a dataset that it trained on, in an update's header.

The steps of every mechanism are named, so that anyone with an accountant can compute ε again. They
are all steps ever charged, those of updates that were never sent too.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from concord.charter.document import Document, Identifier
from concord.ledger.statements.fields import Real

MAX_DATASETS = 16
MAX_MECHANISMS = 64
Steps = Annotated[int, Field(gt=0, lt=2**53)]


class StepsTaken(Document):
    """Steps of one mechanism: documents drawn at a rate, their clipped sum under normal noise."""

    noise_multiplier: Real
    sampling_rate: Real
    steps: Steps

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.noise_multiplier <= 0 or not 0 < self.sampling_rate <= 1:
            raise ValueError("noise must be above 0, and the sampling rate above 0 and at most 1")
        return self


class PrivacySpent(Document):
    """What was spent of one dataset, the update's own round included; its unit is the document."""

    dataset: Identifier
    epsilon: Real
    max_epsilon: Real
    delta: Real
    clip_norm: Real
    taken: Annotated[tuple[StepsTaken, ...], Field(max_length=MAX_MECHANISMS)]

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not 0 <= self.epsilon <= self.max_epsilon:
            raise ValueError("epsilon must be at least 0 and at most max_epsilon")
        if not 0 < self.delta < 1 or self.clip_norm <= 0:
            raise ValueError("delta must be between 0 and 1, and the clip norm above 0")
        keys = [(one.noise_multiplier, one.sampling_rate) for one in self.taken]
        if keys != sorted(set(keys)):
            raise ValueError("mechanisms must be sorted, each once")
        return self

    @property
    def steps(self) -> int:
        """Of all mechanisms together."""
        return sum(one.steps for one in self.taken)

"""What a report is made of: counts and sums that were measured, nothing computed from them.

Models are named `shared`, `pooled`, `alone/<member>`, `sovereign/<member>`, or otherwise for
further arms (`pooled-adamw`). Texts are named by the member that holds them.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from concord.base.digest import digest_json
from concord.base.errors import DocumentError
from concord.base.identifiers import check_identifier
from concord.charter.document import Document
from concord.federation.messages import Count, DigestText, Name, Sum, TextCounts

SHARED = "shared"
POOLED = "pooled"
ALONE = "alone"
SOVEREIGN = "sovereign"
ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}(/[a-z][a-z0-9_-]{0,31})?$")]
Text = Annotated[str, Field(max_length=4000)]
Label = Annotated[str, Field(max_length=120)]


def alone(member: str) -> str:
    """Name of the model that a member trained by itself."""
    return f"{ALONE}/{member}"


def sovereign(member: str) -> str:
    """Name of the model that a member built for itself from the shared base."""
    return f"{SOVEREIGN}/{member}"


class Sums(Document):
    """A model's loss over one held-out text, as sums. The text itself is in no report."""

    nats: Sum
    """Summed negative log-likelihood, natural logarithm."""
    bytes: Annotated[int, Field(gt=0, lt=2**53)]
    """UTF-8 bytes scored."""
    tokens: Count

    @property
    def bits_per_byte(self) -> float:
        """nats / (ln 2 * bytes)."""
        return self.nats / (math.log(2) * self.bytes)


class FactCounts(Document):
    """Facts that a model completes correctly among distractors, by likelihood."""

    own_known: Count
    own_total: Count
    """Facts that only this member's text holds."""
    others_known: Count
    others_total: Count
    """Facts that only the other members' texts hold."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.own_known > self.own_total or self.others_known > self.others_total:
            raise ValueError("more facts known than asked")
        return self


class ReportMember(Document):
    """One member: what is public of it, and the counts it told of its text."""

    id: str
    label: Label = ""
    """How people call it, such as its language; shown, never trusted."""
    owner: Label = ""
    text: TextCounts | None = None
    tokens: Count | None = None
    """Training tokens its text makes under the shared tokenizer."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        try:
            check_identifier(self.id)
        except DocumentError as error:
            raise ValueError(str(error)) from error
        return self


class ParallelCount(Document):
    """One language's side of the parallel set, under one tokenizer."""

    sentences: Count
    bytes: Count
    tokens: Annotated[int, Field(gt=0, lt=2**53)]


class TokenizerPart(Document):
    """The shared tokenizer, and what learning it cost."""

    mode: Literal["parity", "ordinary", "kept"]
    """`kept`: it came with the starting base."""
    vocabulary: Count
    merges: Count
    digest: DigestText | None = None
    parallel: dict[Label, ParallelCount] = Field(default_factory=dict)
    """By language; the same sentences in each."""
    ordinary: dict[Label, ParallelCount] = Field(default_factory=dict)
    """The same under a tokenizer learned in ordinary mode, where one was learned to compare."""
    exchanges: Count = 0
    bytes_up: dict[Name, Count] = Field(default_factory=dict)
    bytes_down: dict[Name, Count] = Field(default_factory=dict)
    seconds: Sum = 0.0

    @model_validator(mode="after")
    def _checked(self) -> Self:
        for counts in (self.parallel, self.ordinary):
            if len({count.sentences for count in counts.values()}) > 1:
                raise ValueError("the languages of a parallel set differ in sentences")
        return self


class ReportRound(Document):
    """One committed round (numbered from 1)."""

    round: Annotated[int, Field(ge=1, lt=2**53)]
    participants: tuple[Name, ...]
    left_out: dict[Name, Text] = Field(default_factory=dict)
    """Members whose update is not in the merge, each with the reason."""
    seconds: Sum
    """From the call to the commit."""
    train_s: dict[Name, Sum] = Field(default_factory=dict)
    """What each participant spent in its inner loop."""
    training_s: Sum | None = None
    """Wall time in which at least one member trained; None: the longest of `train_s`, which is
    right where the members train at the same time."""
    bytes_up: dict[Name, Count] = Field(default_factory=dict)
    bytes_down: dict[Name, Count] = Field(default_factory=dict)
    inner_steps: Count = 0
    tokens: Count = 0
    """Trained on in this round, by all participants together."""
    flops: Sum = 0.0
    norms: dict[Name, Sum] = Field(default_factory=dict)
    """L2 norm of each accepted update, in units of the parameters."""
    mean_loss: dict[Name, Sum] = Field(default_factory=dict)
    """Mean training loss, nats per token."""


class Point(Document):
    """One evaluation during training: a model after a round, on each member's held-out text."""

    model: ModelName = SHARED
    round: Count
    text: dict[Name, Sums]


class Arm(Document):
    """What training one model cost, so that a comparison at equal cost can be checked."""

    tokens: Count
    """Trained on, in total."""
    flops: Sum | None = None
    steps: Count | None = None
    seconds: Sum | None = None
    trials: Count | None = None
    """Settings tried when this arm was tuned; the same number for every arm is equal effort."""


class RunCard(Document):
    """How the run was made, so that it can be made again."""

    name: Name
    run: dict[str, Any]
    """The run document as JSON."""
    digest: DigestText
    """Digest of the run document."""
    toml: Annotated[str, Field(max_length=100_000)] | None = None
    """The run document as people wrote it."""
    seeds: tuple[Count, ...]
    parameters: Count
    base: DigestText | None = None
    """Digest of the final shared base."""
    started: Name | None = None
    """UTC, ISO 8601."""
    wall_s: Sum
    """From start to the last evaluation, comparisons excluded."""
    phases: dict[Label, Sum] = Field(default_factory=dict)
    """Seconds by phase."""
    versions: dict[Label, Label] = Field(default_factory=dict)
    machine: dict[Label, Label] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        try:
            found = digest_json(self.run)
        except DocumentError as error:
            raise ValueError(f"run: {error.message}") from error
        if found != self.digest:
            raise ValueError("digest is not that of the run document beside it")
        return self


class Evidence(Document):
    """Everything measured in a run. What was not measured is absent, never zero."""

    card: RunCard
    members: Annotated[tuple[ReportMember, ...], Field(min_length=1)]
    rounds: tuple[ReportRound, ...] = ()
    curves: tuple[Point, ...] = ()
    matrix: dict[ModelName, dict[Name, Sums]] = Field(default_factory=dict)
    """model -> text -> sums; a model may lack a text."""
    arms: dict[ModelName, Arm] = Field(default_factory=dict)
    facts: dict[ModelName, dict[Name, FactCounts]] | None = None
    """model -> member -> counts; an `alone/<member>` model counts for that member."""
    fact_choices: Annotated[int, Field(ge=2)] | None = None
    """Answers to choose from: guessing knows one in so many."""
    tokenizer: TokenizerPart | None = None
    notes: tuple[Text, ...] = ()
    """Honest limits: one machine, small sizes, what is not claimed."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        ids = [member.id for member in self.members]
        if len(set(ids)) != len(ids):
            raise ValueError("members: one is named twice")
        strangers = self._named() - set(ids)
        if strangers:
            raise ValueError(f"names a member that is not in members: {min(strangers)[:40]!r}")
        return self

    def _named(self) -> set[str]:
        named = {member for row in self.matrix.values() for member in row}
        named |= {model.partition("/")[2] for model in self.matrix if "/" in model}
        named |= {member for row in (self.facts or {}).values() for member in row}
        named |= {member for point in self.curves for member in point.text}
        for part in self.rounds:
            named |= {*part.participants, *part.left_out, *part.train_s, *part.norms}
            named |= {*part.bytes_up, *part.bytes_down, *part.mean_loss}
        if self.tokenizer is not None:
            named |= {*self.tokenizer.bytes_up, *self.tokenizer.bytes_down}
        return named

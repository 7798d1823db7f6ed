"""What is said in a run: its opening, plans, grants, updates, records and measurements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from concord.base.digest import Digest
from concord.charter.document import Document, ExactFraction, Identifier
from concord.charter.run_sections import Mode
from concord.ledger.statements.fields import (
    MAX_PARTIES,
    Body,
    Count,
    DigestText,
    Line,
    PerMember,
    Real,
)
from concord.ledger.statements.privacy import MAX_DATASETS, PrivacySpent


class RunOpening(Body):
    """A run begins, under an adopted run document, from the first base that members agreed on."""

    KIND: ClassVar[str] = "run-opening"
    NEEDS_RUN: ClassVar[bool] = True
    first_base: DigestText
    tokenizer: DigestText | None = None
    probes: DigestText | None = None
    """Public texts that the probe gate measures on, if the run has one."""
    record: DigestText
    """Record 0 of the run, among the objects."""

    def subjects(self) -> Mapping[str, Digest]:
        found = {"first-base": self.first_base, "record": self.record}
        found |= {} if self.probes is None else {"probes": self.probes}
        return found if self.tokenizer is None else {**found, "tokenizer": self.tokenizer}


class RoundPlan(Body):
    """The coordinator calls a round: who, from which base, how many steps, under which rules."""

    KIND: ClassVar[str] = "round-plan"
    NEEDS_RUN: ClassVar[bool] = True
    NEEDS_ROUND: ClassVar[bool] = True
    attempt: Count
    """How often this round was called before without coming to an end."""
    term: Count
    """The coordinator's term: a plan of an earlier term is void."""
    base: DigestText
    roster: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=MAX_PARTIES)]
    inner_steps: Annotated[int, Field(gt=0, lt=2**32)]
    steps: Annotated[
        dict[Identifier, Annotated[int, Field(gt=0, lt=2**32)]], Field(max_length=MAX_PARTIES)
    ] = Field(default_factory=dict)
    """Inner steps of each member of the roster, where they differ by speed; else empty."""
    codec: Annotated[str, Field(max_length=16)]
    mode: Mode = "open"
    quorum: ExactFraction
    epoch: DigestText | None = None
    """Sealed mode: the epoch whose keys and cohorts are used."""
    scales: DigestText | None = None
    """Sealed mode: the table of scales for this round, among the objects."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if list(self.roster) != sorted(set(self.roster)):
            raise ValueError("roster must be sorted and name nobody twice")
        if {self.epoch is None, self.scales is None} != {self.mode == "open"}:
            raise ValueError("a sealed plan names epoch and scales, an open one neither")
        return self

    def subjects(self) -> Mapping[str, Digest]:
        found = {"base": self.base}
        if self.epoch is not None and self.scales is not None:
            found |= {"epoch": self.epoch, "scales": self.scales}
        return found


RuleIds = Annotated[tuple[Line, ...], Field(max_length=64)]
DatasetRecords = Annotated[tuple[DigestText, ...], Field(max_length=64)]


class Granted(Body):
    """A member takes part in a planned round; its own policy said so, by these rules."""

    KIND: ClassVar[str] = "grant"
    NEEDS_RUN: ClassVar[bool] = True
    NEEDS_ROUND: ClassVar[bool] = True
    plan: DigestText
    """Digest of the plan's statement."""
    dataset_records: DatasetRecords = ()
    """Records of the datasets that it trains on; none while it has described none."""
    policy: DigestText
    """SHA-256 of the member's policy file, which stays with it."""
    rules: Annotated[RuleIds, Field(min_length=1)]
    """Ids of the rules of that file that permit."""
    canaries: DigestText | None = None
    """Commitment to the canaries planted in its text, if there are any: made before the round."""

    def subjects(self) -> Mapping[str, Digest]:
        return {"plan": self.plan}


class Refused(Body):
    """A member does not take part in a planned round, and says by which rules."""

    KIND: ClassVar[str] = "refusal"
    NEEDS_RUN: ClassVar[bool] = True
    NEEDS_ROUND: ClassVar[bool] = True
    plan: DigestText
    reason: Line
    dataset_records: DatasetRecords = ()
    """Records of the datasets that may not be used."""
    policy: DigestText | None = None
    """SHA-256 of the member's policy file, if it could be read."""
    rules: RuleIds = ()
    """Ids of the rules that forbid; none where no rule permits."""

    def subjects(self) -> Mapping[str, Digest]:
        return {"plan": self.plan}


def _each_once(privacy: tuple[PrivacySpent, ...]) -> tuple[PrivacySpent, ...]:
    names = [one.dataset for one in privacy]
    if names != sorted(set(names)):
        raise ValueError("must be sorted by dataset, each once")
    return privacy


Privacy = Annotated[
    tuple[PrivacySpent, ...], Field(max_length=MAX_DATASETS), AfterValidator(_each_once)
]


class UpdateSent(Body):
    """A member's update, by digest, and the work it declares, which is never weighed."""

    KIND: ClassVar[str] = "update-header"
    NEEDS_RUN: ClassVar[bool] = True
    NEEDS_ROUND: ClassVar[bool] = True
    plan: DigestText
    base: DigestText
    update: DigestText
    bytes: Count
    steps: Count
    tokens: Count
    flops: Count
    train_s: Real
    mean_loss: Real
    privacy: Privacy = ()
    """Budgets of the datasets that were trained on under noise, after this round."""

    def subjects(self) -> Mapping[str, Digest]:
        return {"plan": self.plan, "base": self.base, "update": self.update}


class Merged(Document):
    """One update as it entered the merge."""

    update: DigestText
    weight: ExactFraction
    norm: Real | None
    """None in sealed mode: nobody knows it."""
    late: bool = False
    """It is of the round before, and was turned towards the outer momentum."""


class RoundCommitted(Body):
    """A round has happened: what went in with which weight, who was left out and why, what came."""

    KIND: ClassVar[str] = "round-record"
    NEEDS_RUN: ClassVar[bool] = True
    NEEDS_ROUND: ClassVar[bool] = True
    plan: DigestText
    base_before: DigestText
    base: DigestText
    step: DigestText
    outer_state: DigestText | None = None
    record: DigestText
    """The run's own record of the round, among the objects."""
    merged: Annotated[dict[Identifier, Merged], Field(min_length=1, max_length=MAX_PARTIES)]
    left_out: Annotated[dict[Identifier, Line], Field(max_length=MAX_PARTIES)] = Field(
        default_factory=dict
    )
    closed_because: Line = ""
    bytes_up: PerMember = Field(default_factory=dict)
    bytes_down: PerMember = Field(default_factory=dict)

    def subjects(self) -> Mapping[str, Digest]:
        found = {"plan": self.plan, "base-before": self.base_before, "base": self.base}
        found |= {"step": self.step, "record": self.record}
        found |= {f"update/{member}": one.update for member, one in self.merged.items()}
        return found if self.outer_state is None else {**found, "outer-state": self.outer_state}


class RoundVoid(Body):
    """A planned round came to no end; it is called again, and nothing of it is in the base."""

    KIND: ClassVar[str] = "round-void"
    NEEDS_RUN: ClassVar[bool] = True
    NEEDS_ROUND: ClassVar[bool] = True
    plan: DigestText
    reason: Line

    def subjects(self) -> Mapping[str, Digest]:
        return {"plan": self.plan}


class Measured(Body):
    """Sums over a member's own held-out text for one base; nothing else of the text."""

    KIND: ClassVar[str] = "evaluation"
    NEEDS_RUN: ClassVar[bool] = True
    NEEDS_ROUND: ClassVar[bool] = True
    base: DigestText
    nats: Real
    bytes: Count
    tokens: Count
    documents: Count

    def subjects(self) -> Mapping[str, Digest]:
        return {"base": self.base}


class MeasureRefused(Body):
    """A member does not measure a base on its text, and says by which rules."""

    KIND: ClassVar[str] = "evaluation-refusal"
    NEEDS_RUN: ClassVar[bool] = True
    NEEDS_ROUND: ClassVar[bool] = True
    base: DigestText
    reason: Line
    dataset_records: DatasetRecords = ()
    policy: DigestText | None = None
    rules: RuleIds = ()

    def subjects(self) -> Mapping[str, Digest]:
        return {"base": self.base}


class RunClosed(Body):
    """All rounds of a run have happened; this is its last base."""

    KIND: ClassVar[str] = "run-closing"
    NEEDS_RUN: ClassVar[bool] = True
    base: DigestText

    def subjects(self) -> Mapping[str, Digest]:
        return {"base": self.base}

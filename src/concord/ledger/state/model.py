"""The state that a log adds up to. Immutable; its digest is the same wherever it is computed.

No clock in here: time is that of the statements. What expires (a halt, a suspension) is asked for
with the time of the one who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

from pydantic import Field

from concord.base.digest import Digest, digest_json
from concord.base.errors import StatementRefused
from concord.charter.document import Document
from concord.ledger.statements.fields import BigCount, Real
from concord.ledger.statements.membership import CoordinatorEntry, MemberEntry, OverseerEntry
from concord.ledger.statements.votes import Change

Standing = Literal["probation", "full", "suspended", "left", "expelled"]
Value = TypeVar("Value")
NOBODY = CoordinatorEntry.model_construct(member="", log_key="")


class MemberSeat(Document):
    """One member, past or present."""

    entry: MemberEntry
    standing: Standing
    ratified: Digest
    """The charter it bound itself to."""
    since: int
    """Index of the entry that seated it."""
    rounds: int = 0
    """Rounds its update went into, since it was seated."""
    suspended_until: int = 0


class Vote(Document):
    """A ballot that stands."""

    ballot: Digest
    choice: Literal["yes", "no", "abstain"]
    charter: Digest
    """The charter it was cast under; under another it does not count."""


class ProposalSeat(Document):
    """A proposal, open or decided."""

    title: str
    by: str
    change: Change
    closes: int
    charter: Digest
    opened: int
    votes: dict[str, Vote] = Field(default_factory=dict)
    comments: int = 0
    outcome: str | None = None
    rule: str | None = None
    decision: Digest | None = None
    effective: int = 0


class ApplicationSeat(Document):
    """Who applied, and under which charter: the one it signed by applying."""

    entry: MemberEntry
    charter: Digest


class HaltSeat(Document):
    """A halt, in force until it is lifted or its time is over."""

    scope: Literal["self", "all"]
    by: tuple[str, ...]
    ground: str
    reason: str
    began: int
    until: int
    extended: bool = False
    lifted: bool = False


class UpdateSeat(Document):
    """An update that a member announced for the open plan."""

    header: Digest
    update: Digest
    steps: int
    tokens: int
    flops: int
    train_s: Real = 0.0


class SpentSeat(Document):
    """What a member said was spent of a dataset's privacy budget, last and most."""

    epsilon: Real
    steps: int


REVIEW_STRIKES = 3
"""Quarantines within `gates.REVIEW_ROUNDS` rounds that put a member under review."""


class GateSeat(Document):
    """What the probe gate reported on the open plan."""

    report: Digest
    quarantined: tuple[str, ...]
    passed: tuple[str, ...]


class EpochSeat(Document):
    """Keys and cohorts of sealed rounds, as far as they have come."""

    digest: Digest
    number: int
    began: int
    """Time of the statement that opened it."""
    members: tuple[str, ...]
    """Who was asked."""
    keys: dict[str, str] = Field(default_factory=dict)
    """Content of each member's key statement."""
    statements: dict[str, Digest] = Field(default_factory=dict)
    """Digest of each member's key statement."""
    coverage: dict[str, Digest] = Field(default_factory=dict)
    """Vocabulary rows with too few contributors, as each member found them."""
    closed: Digest | None = None
    """Digest of the statement that closed the list of keys; afterwards `keys` has those on it."""
    beacons: dict[str, str] = Field(default_factory=dict)
    cohorts: tuple[tuple[str, ...], ...] = ()
    sealed: tuple[str, ...] = ()
    """Members that sealed a secret for each other one of their cohort."""
    used: bool = False
    """Whether a round was called with these keys."""

    def cohort_of(self, member: str) -> int | None:
        """Number of the member's cohort."""
        return _first_number(
            number for number, cohort in enumerate(self.cohorts) if member in cohort
        )

    @property
    def agreed_coverage(self) -> Digest | None:
        """What the members on the list of keys found; they all found the same."""
        found = {self.coverage[member] for member in self.keys}
        return found.pop() if len(found) == 1 else None


class SealedSeat(Document):
    """What is settled in a sealed round, by number of the cohort where it is of one."""

    epoch: Digest
    scales: Digest
    set_up: tuple[str, ...] = ()
    masking: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    survivors: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    unmasked: tuple[str, ...] = ()


class PlanSeat(Document):
    """The plan of a round that is going on."""

    digest: Digest
    roster: tuple[str, ...]
    base: Digest
    inner_steps: int
    steps: dict[str, int] = Field(default_factory=dict)
    """Inner steps of each member, where they differ."""
    quorum: str
    mode: str = "open"
    granted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    updates: dict[str, UpdateSeat] = Field(default_factory=dict)
    gate: GateSeat | None = None
    sealed: SealedSeat | None = None

    def steps_of(self, member: str) -> int:
        """Inner steps that are planned for a member."""
        return self.steps.get(member, self.inner_steps)


class RunSeat(Document):
    """A run: adopted by vote, then opened, then round after round, then closed."""

    name: str
    rule: str
    """The charter's rule by which it was adopted last."""
    standing: Literal["adopted", "open", "closed"] = "adopted"
    rounds: int = 0
    attempt: int = 0
    first_base: Digest | None = None
    base: Digest | None = None
    outer_state: Digest | None = None
    tokenizer: Digest | None = None
    probes: Digest | None = None
    """Public texts that the probe gate measures on, fixed before training."""
    strikes: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """Of members that were quarantined lately, the rounds, counted from 1."""
    record: Digest | None = None
    canaries: dict[str, Digest] = Field(default_factory=dict)
    """Commitment of each member that has canaries in its text, from its first grant with one on."""
    step_times_us: dict[str, int] = Field(default_factory=dict)
    """Of each member, as its last merged update declared it; kept where steps go by speed."""
    plan: PlanSeat | None = None
    before: PlanSeat | None = None
    """The plan of the last committed round, where late updates may still come."""
    late: dict[str, UpdateSeat] = Field(default_factory=dict)
    """Updates that were announced for it after its round was closed."""
    recent: dict[str, Digest] = Field(default_factory=dict)
    """The last bases by number of rounds: what members may still send measurements of."""
    flops: BigCount = "0"
    """Declared by members in this run."""
    epoch: EpochSeat | None = None
    released: int = 0
    """Attempts at this round that a survivor set was named for: their sums count as known."""
    discarded: tuple[Digest, ...] = ()
    """Updates of this round's attempts that came to nothing: none of them may come again."""

    @property
    def under_review(self) -> tuple[str, ...]:
        """Members whose strikes ask the others for a decision; nothing follows by itself."""
        return tuple(m for m, rounds in self.strikes.items() if len(rounds) >= REVIEW_STRIKES)


class EvidenceSeat(Document):
    """What one runner said of a gate last."""

    result: Literal["passed", "failed", "warned"]
    evidence: Digest
    measured: dict[str, Real] = Field(default_factory=dict)
    against: Digest | None = None
    charter: Digest
    """That the runner was bound to."""
    time: int


class RecallSeat(Document):
    """A withdrawal."""

    statement: Digest
    by: tuple[str, ...]
    ground: str
    reason: str
    replaced_by: str | None
    time: int


class AdvisorySeat(Document):
    """What users of a version should know."""

    version: str
    by: str
    severity: str
    title: str
    text: str
    time: int


class MatterSeat(Document):
    """An incident, a complaint or an opt-out, answered or not."""

    sort: Literal["incident", "complaint", "opt-out"]
    by: str
    version: str | None
    about: Digest | None = None
    to: str | None = None
    """Who has to answer, if that was said."""
    title: str
    opened: int
    due: int
    answered: int = 0
    outcome: str | None = None

    def late(self, now: int) -> bool:
        """Whether it was, or is, answered after its day."""
        return (self.answered or now) > self.due


class State(Document):
    """Everything that is true after `size` entries."""

    size: int = 0
    time: int = 0
    """Latest time of a statement, in Unix seconds."""
    federation: Digest | None = None
    name: str = ""
    charter: Digest = ""
    coming_charters: dict[Digest, int] = Field(default_factory=dict)
    """Adopted charters that are not in force yet, with the time from which they are."""
    members: dict[str, MemberSeat] = Field(default_factory=dict)
    overseers: dict[str, OverseerEntry] = Field(default_factory=dict)
    coordinator: CoordinatorEntry = NOBODY
    term: int = 0
    applications: dict[Digest, ApplicationSeat] = Field(default_factory=dict)
    keys_used: tuple[str, ...] = ()
    """Every key that was ever seated: none comes back in another place."""
    revoked: tuple[str, ...] = ()
    seqs: dict[str, int] = Field(default_factory=dict)
    """Highest number of a statement of each author, in a run and outside of runs."""
    proposals: dict[Digest, ProposalSeat] = Field(default_factory=dict)
    halts: dict[Digest, HaltSeat] = Field(default_factory=dict)
    runs: dict[Digest, RunSeat] = Field(default_factory=dict)
    flops: BigCount = "0"
    """Declared by all members in all runs: what the marks on joint compute are held against."""
    datasets: dict[str, dict[str, Digest]] = Field(default_factory=dict)
    """Record of each dataset that stands, by member and name."""
    revoked_datasets: dict[str, dict[str, Digest]] = Field(default_factory=dict)
    """The last record of each that was revoked and not described again."""
    privacy: dict[str, dict[str, SpentSeat]] = Field(default_factory=dict)
    """By member and dataset, over all runs."""
    evidence: dict[Digest, dict[str, dict[str, EvidenceSeat]]] = Field(default_factory=dict)
    """By model, gate and runner; the last of each."""
    releases: dict[str, Digest] = Field(default_factory=dict)
    """Model of each version, in the order of their publication."""
    recalls: dict[str, RecallSeat] = Field(default_factory=dict)
    """By version."""
    advisories: dict[Digest, AdvisorySeat] = Field(default_factory=dict)
    matters: dict[Digest, MatterSeat] = Field(default_factory=dict)

    @property
    def digest(self) -> Digest:
        """Same log, same digest, on every machine."""
        return digest_json(self.model_dump(mode="json"))

    def next_number(self, role: str, party: str) -> int:
        """A number for a party's statement: above all that it gave in a run or outside of one."""
        name = f"{role}:{party}"
        return max(self.seqs.get(lane, -1) for lane in (name, f"{name}:run")) + 1

    def charter_at(self, now: int) -> Digest:
        """The charter in force at this time, if nothing is decided until then."""
        due = [(at, digest) for digest, at in self.coming_charters.items() if at <= now]
        return max(due)[1] if due else self.charter

    def member(self, name: str) -> MemberSeat:
        """A member that is seated now.

        Raises:
            StatementRefused: there is none of that name, or it left or was expelled.
        """
        seat = self.members.get(name)
        if seat is None or seat.standing in ("left", "expelled"):
            raise StatementRefused(f"{name!r} is no member")
        return seat

    def seated(self) -> dict[str, MemberSeat]:
        """All present members, suspended ones too, by id."""
        return {
            name: seat
            for name, seat in sorted(self.members.items())
            if seat.standing not in ("left", "expelled")
        }

    def suspended(self, name: str, now: int) -> bool:
        return self.members[name].suspended_until > now

    def voters(self, now: int) -> dict[str, MemberEntry]:
        """Members with a vote: full, and not suspended."""
        return {
            name: seat.entry
            for name, seat in self.seated().items()
            if seat.standing == "full" and not self.suspended(name, now)
        }

    def bound(self, now: int) -> tuple[str, ...]:
        """Members that may be in a round: ratified the charter in force, and not suspended."""
        charter = self.charter_at(now)
        return tuple(
            name
            for name, seat in self.seated().items()
            if seat.ratified == charter and not self.suspended(name, now)
        )

    def halt_of_all(self, now: int) -> Digest | None:
        """The halt that holds for all at this time, if there is one."""
        return _first(
            digest for digest, halt in self.halts.items() if halt.scope == "all" and _on(halt, now)
        )

    def halt_of(self, member: str, now: int) -> Digest | None:
        """The halt that holds for this member at this time: its own, or one of all."""
        own = _first(
            digest
            for digest, halt in self.halts.items()
            if halt.scope == "self" and halt.by == (member,) and _on(halt, now)
        )
        return own or self.halt_of_all(now)

    def witness_keys(self) -> dict[str, str]:
        """Witness key of each present member, by the name that its cosignature carries."""
        return {name: seat.entry.witness_key for name, seat in self.seated().items()}

    def run(self, document: Digest | None) -> RunSeat:
        """A run that was adopted.

        Raises:
            StatementRefused: it was not.
        """
        seat = self.runs.get(document or "")
        if seat is None:
            raise StatementRefused("the run was not adopted by a vote")
        return seat

    def proposal(self, digest: Digest) -> ProposalSeat:
        """A proposal, open or decided.

        Raises:
            StatementRefused: there is none.
        """
        seat = self.proposals.get(digest)
        if seat is None:
            raise StatementRefused("there is no such proposal")
        return seat


def _on(halt: HaltSeat, now: int) -> bool:
    return not halt.lifted and halt.until > now


def _first_number(found: Iterable[int]) -> int | None:
    return min(found, default=None)


def _first(found: Iterable[Digest]) -> Digest | None:
    return min(found, default=None)


def put(into: Mapping[str, Value], key: str, value: Value) -> dict[str, Value]:
    """A copy of `into` with one key set."""
    return {**into, key: value}

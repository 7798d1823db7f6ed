"""What a log says of its runs, gathered while its entries are folded: round by round, with places.

The state keeps what is true now; who recomputes needs everything that was said on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from concord.base.digest import Digest
from concord.ledger.entries import Entry
from concord.ledger.sealed.book import CountBook, RoundBook, SealBook
from concord.ledger.statements.counting import TokenizerLearned
from concord.ledger.statements.gates import GateReport
from concord.ledger.statements.rounds import (
    Measured,
    Refused,
    RoundCommitted,
    RoundPlan,
    RunOpening,
    UpdateSent,
)
from concord.ledger.statements.sealing import UpdateCommitted

Sent = UpdateSent | UpdateCommitted


@dataclass(frozen=True)
class CommittedRound:
    """A round that has happened, and what was said before it was committed."""

    place: str
    """Of the round's record in the log."""
    number: int
    """Counted from 1."""
    plan: RoundPlan
    body: RoundCommitted
    sent: Mapping[str, Sent]
    """What each member announced under the plan."""
    declined: frozenset[str]
    """Members that refused the plan."""
    gate: GateReport | None = None
    """What the probe gate found, if the run has one."""
    sealed: RoundBook | None = None
    """What a sealed round was made of."""
    late: Mapping[str, UpdateSent] = field(default_factory=dict)
    """What members announced under the plan before, after its round was closed."""

    def announced(self, member: str) -> Sent:
        """What a member said of the update that was merged."""
        return self.late[member] if self.body.merged[member].late else self.sent[member]


@dataclass(frozen=True)
class Measurement:
    """A member's sums for one base."""

    place: str
    number: int
    """Rounds committed before."""
    body: Measured


@dataclass(frozen=True)
class LearnedTokenizer:
    """A tokenizer that was learned from sealed counts, and what they were made of."""

    place: str
    body: TokenizerLearned
    counts: CountBook | None
    """None where it was learned from the public list alone."""


@dataclass
class RunAccount:
    """One run that was opened."""

    document: Digest
    place: str
    """Of its opening."""
    opening: RunOpening
    learned: LearnedTokenizer | None = None
    rounds: list[CommittedRound] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def base(self) -> Digest:
        """The base after all rounds so far."""
        return self.rounds[-1].body.base if self.rounds else self.opening.first_base

    def bases(self) -> Iterator[tuple[int, Digest]]:
        """Every base by the number of rounds that led to it."""
        yield 0, self.opening.first_base
        for one in self.rounds:
            yield one.number, one.body.base


@dataclass
class _Plan:
    digest: Digest
    body: RoundPlan
    sent: dict[str, Sent] = field(default_factory=dict)
    declined: set[str] = field(default_factory=set)
    gate: GateReport | None = None


@dataclass
class Account:
    """All runs of a log, by the digest of their document, in the order of their opening."""

    runs: dict[Digest, RunAccount] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    """How many statements of each kind there are."""
    signatures: int = 0
    seals: SealBook | None = None
    """Gathers what sealed rounds are made of."""
    _plans: dict[Digest, _Plan] = field(default_factory=dict)
    _learned: dict[Digest, LearnedTokenizer] = field(default_factory=dict)
    _late: dict[Digest, dict[str, UpdateSent]] = field(default_factory=dict)

    def add(self, index: int, entry: Entry) -> None:
        """Take note of an entry that was accepted at this place of the log."""
        statement = entry.statement
        self.kinds[statement.kind] = self.kinds.get(statement.kind, 0) + 1
        self.signatures += len(entry.envelope.signatures)
        body, run = statement.body, statement.binding.run or ""
        party, place = statement.author.party, statement.place(index)
        if self.seals is not None:
            self.seals.add(entry)
        match body:
            case RunOpening():
                self.runs[run] = RunAccount(run, place, body, self._learned.get(run))
            case TokenizerLearned():
                counts = None if self.seals is None else self.seals.counts.pop(run, None)
                self._learned[run] = LearnedTokenizer(place, body, counts)
            case RoundPlan():
                self._plans[run] = _Plan(statement.digest, body)
            case UpdateSent() if self._is_late(run, body):
                self._late.setdefault(run, {})[party] = body
            case UpdateSent() | UpdateCommitted() if run in self._plans:
                self._plans[run].sent[party] = body
            case Refused() if run in self._plans:
                self._plans[run].declined.add(party)
            case GateReport():
                self._plans[run].gate = body
            case Measured():
                number = statement.binding.round or 0
                self.runs[run].measurements.append(Measurement(place, number, body))
            case RoundCommitted():
                self._commit(run, place, body)

    def _is_late(self, run: Digest, body: UpdateSent) -> bool:
        plan = self._plans.get(run)
        return plan is None or plan.digest != body.plan

    def _commit(self, run: Digest, place: str, body: RoundCommitted) -> None:
        plan, rounds = self._plans.pop(run), self.runs[run].rounds
        rounds.append(
            CommittedRound(
                place=place,
                number=len(rounds) + 1,
                plan=plan.body,
                body=body,
                sent=plan.sent,
                declined=frozenset(plan.declined),
                gate=plan.gate,
                sealed=None if self.seals is None else self.seals.rounds.pop(run, None),
                late=self._late.pop(run, {}),
            )
        )

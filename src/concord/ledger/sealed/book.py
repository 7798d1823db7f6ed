"""What a log says of sealed mode, gathered entry by entry: keys, set-ups, sets, shares.

The fold decided already that each statement may stand where it stands, and that its bytes have the
form that they must have; here is only what was said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from concord.base.digest import Digest
from concord.charter.run import RunDocument
from concord.charter.run_sections import SealSpec
from concord.crypto.base64text import from_base64
from concord.crypto.seal import Cohort, EpochKey, Setup, Unmask
from concord.ledger.entries import Entry
from concord.ledger.state.library import Library
from concord.ledger.statements.counting import CountsPlanned, TokenizerLearned
from concord.ledger.statements.rounds import Granted, RoundCommitted, RoundPlan, RoundVoid
from concord.ledger.statements.sealing import (
    BeaconShown,
    CohortsDrawn,
    EpochOpened,
    KeysClosed,
    KeyShown,
    KeysSealed,
    MaskingSet,
    SealSetUp,
    SurvivorSet,
    Unmasked,
    UpdateCommitted,
)
from concord.ledger.statements.statement import Statement


@dataclass
class EpochBook:
    """Keys and cohorts of one epoch."""

    digest: Digest
    number: int
    seal: SealSpec
    keys: dict[str, EpochKey] = field(default_factory=dict)
    statements: dict[str, Digest] = field(default_factory=dict)
    coverage: dict[str, Digest] = field(default_factory=dict)
    beacons: dict[str, bytes] = field(default_factory=dict)
    cohorts: tuple[Cohort, ...] = ()
    sealed: dict[str, bytes] = field(default_factory=dict)
    """Of each member: its secrets for the others of its cohort, encrypted."""

    @property
    def agreed_coverage(self) -> Digest | None:
        """The vocabulary rows that all members of the cohorts left out."""
        found = {self.coverage[m] for cohort in self.cohorts for m in cohort.members}
        return found.pop() if len(found) == 1 else None

    @property
    def largest(self) -> int:
        """Members of the largest cohort: what the ring must have room for."""
        return max(cohort.size for cohort in self.cohorts)

    def number_of(self, member: str) -> int | None:
        """Number of a member's cohort."""
        return next((n for n, one in enumerate(self.cohorts) if member in one.members), None)


Plan = TypeVar("Plan", RoundPlan, CountsPlanned)


@dataclass
class SumBook(Generic[Plan]):
    """One attempt at a sealed sum: of a round's updates, or of counts before the first round."""

    plan_digest: Digest
    plan: Plan
    round: int
    """Rounds committed before."""
    epoch: EpochBook
    granted: dict[str, Granted] = field(default_factory=dict)
    setups: dict[str, Setup] = field(default_factory=dict)
    masking: dict[int, tuple[str, ...]] = field(default_factory=dict)
    sent: dict[str, UpdateCommitted] = field(default_factory=dict)
    survivors: dict[int, tuple[str, ...]] = field(default_factory=dict)
    answers: dict[str, Unmask] = field(default_factory=dict)
    released: tuple[tuple[str, ...], ...] = ()
    """Survivor sets of the run that were named before."""


RoundBook = SumBook[RoundPlan]
CountBook = SumBook[CountsPlanned]


class SealBook:
    """All of it, by run: the epoch in use, and the round that is open or was committed last.

    `counts` holds the sum of counts that is open, or that the tokenizer was learned from.

    Args:
        library: For run documents.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self.epochs: dict[Digest, EpochBook] = {}
        self.rounds: dict[Digest, RoundBook] = {}
        self.counts: dict[Digest, CountBook] = {}
        self._released: dict[Digest, list[tuple[str, ...]]] = {}

    def add(self, entry: Entry) -> None:
        """Take note of an entry that was accepted."""
        statement = entry.statement
        run, body = statement.binding.run, statement.body
        if run is None:
            return
        match body:
            case EpochOpened():
                seal = self._run(run).seal or SealSpec()
                self.epochs[run] = EpochBook(statement.digest, body.number, seal)
            case KeyShown() | KeysClosed() | BeaconShown() | CohortsDrawn() | KeysSealed():
                _take_of_epoch(self.epochs[run], statement)
            case RoundPlan() if body.mode == "sealed":
                self.rounds[run] = RoundBook(
                    statement.digest,
                    body,
                    statement.binding.round or 0,
                    self.epochs[run],
                    released=tuple(self._released.get(run, ())),
                )
            case CountsPlanned():
                self.counts[run] = CountBook(statement.digest, body, 0, self.epochs[run])
            case SealSetUp() | MaskingSet() | UpdateCommitted() | SurvivorSet() | Unmasked():
                self._take_of_sum(run, body.plan, statement)
            case Granted() if run in self.rounds:
                self.rounds[run].granted[statement.author.party] = body
            case RoundVoid():
                self.rounds.pop(run, None)
                self.counts.pop(run, None)
            case TokenizerLearned():
                del self.epochs[run]
                if body.plan is None:
                    self.counts.pop(run, None)
            case RoundCommitted():
                pass

    def _take_of_sum(self, run: Digest, plan: Digest, statement: Statement) -> None:
        counts = self.counts.get(run)
        if counts is not None and counts.plan_digest == plan:
            _take_of_round(counts, statement)
            return
        if isinstance(statement.body, SurvivorSet):
            self._released.setdefault(run, []).append(statement.body.members)
        _take_of_round(self.rounds[run], statement)

    def _run(self, digest: Digest) -> RunDocument:
        return self._library.run(digest)


def _take_of_epoch(epoch: EpochBook, statement: Statement) -> None:
    body, party = statement.body, statement.author.party
    match body:
        case KeyShown():
            epoch.keys[party] = EpochKey.decode(from_base64(body.content))
            epoch.statements[party] = statement.digest
            epoch.coverage[party] = body.coverage
        case KeysClosed():
            epoch.keys = {member: epoch.keys[member] for member in sorted(body.keys)}
        case BeaconShown():
            epoch.beacons[party] = bytes.fromhex(body.beacon)
        case CohortsDrawn():
            least = epoch.seal.min_survivors
            epoch.cohorts = tuple(Cohort(members, least) for members in body.cohorts)
        case KeysSealed():
            epoch.sealed[party] = from_base64(body.content)


def _take_of_round(book: SumBook[Any], statement: Statement) -> None:
    body, party = statement.body, statement.author.party
    match body:
        case SealSetUp():
            number = book.epoch.number_of(party)
            size = book.epoch.cohorts[number or 0].size
            book.setups[party] = Setup.decode(from_base64(body.content), size)
        case MaskingSet():
            book.masking[body.cohort] = body.members
        case UpdateCommitted():
            book.sent[party] = body
        case SurvivorSet():
            book.survivors[body.cohort] = body.members
        case Unmasked():
            book.answers[party] = Unmask.decode(from_base64(body.content))

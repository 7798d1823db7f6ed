"""What the log tells of every member, run and vote: gathered in one pass over its entries. Pure.

The entries were checked before (`ledger.archive`); here they are only sorted by who asks for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from concord.base.digest import Digest
from concord.ledger.entries import Entry
from concord.ledger.sentences import change_words
from concord.ledger.statements.aftermath import Matter, MatterAnswered
from concord.ledger.statements.evidence import DatasetRecord, GateEvidence, Release
from concord.ledger.statements.gates import GateReport
from concord.ledger.statements.privacy import PrivacySpent
from concord.ledger.statements.rounds import (
    Granted,
    Measured,
    MeasureRefused,
    Refused,
    RoundCommitted,
    UpdateSent,
)
from concord.ledger.statements.sealing import UpdateCommitted
from concord.ledger.statements.statement import Statement
from concord.ledger.statements.votes import Ballot, Comment, Decision, Proposal


@dataclass(frozen=True)
class Answer:
    """What a member said to one plan, or to one measurement."""

    index: int
    time: int
    run: Digest
    round: int
    """Counted from 1; of a measurement, the rounds before it."""
    allowed: bool
    reason: str
    rules: tuple[str, ...]
    measuring: bool = False


@dataclass(frozen=True)
class Measure:
    """A member's sums for one base, as bits per byte of its own held-out text."""

    index: int
    run: Digest
    round: int
    """Rounds committed before: 0 is the first base."""
    bits: float
    bytes: int


@dataclass(frozen=True)
class LeftOut:
    """A round that went on without the member."""

    run: Digest
    round: int
    reason: str


@dataclass
class MemberBook:
    """What one member said and did."""

    answers: list[Answer] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    merged: int = 0
    """Rounds that its update went into."""
    tokens: int = 0
    bytes: int = 0
    flops: int = 0
    last_weight: str = ""
    privacy: dict[str, PrivacySpent] = field(default_factory=dict)
    """What was spent last, by dataset."""


@dataclass(frozen=True)
class RoundBook:
    """A round that was committed."""

    index: int
    time: int
    run: Digest
    round: int
    base: Digest
    merged: tuple[str, ...]
    left_out: dict[str, str]


@dataclass(frozen=True)
class Cast:
    """A ballot as it fell."""

    index: int
    time: int
    member: str
    choice: str
    reason: str


@dataclass(frozen=True)
class Word:
    """A comment on a proposal."""

    index: int
    time: int
    member: str
    text: str


@dataclass
class VoteBook:
    """One proposal, from its filing to its decision."""

    proposal: Digest
    index: int
    time: int
    by: str
    title: str
    text: str
    change: str
    closes: int
    ballots: list[Cast] = field(default_factory=list)
    comments: list[Word] = field(default_factory=list)
    outcome: str | None = None
    rule: str = ""
    decided: int | None = None
    """Time of the decision."""


@dataclass(frozen=True)
class GateRun:
    """One runner's evidence."""

    index: int
    time: int
    gate: str
    runner: str
    model: Digest
    evidence: Digest
    result: str


@dataclass(frozen=True)
class ReleaseBook:
    """A version that was published."""

    index: int
    time: int
    version: str
    model: Digest
    manifest: Digest
    decision: Digest


@dataclass(frozen=True)
class RecordBook:
    """A description of a dataset, or its revocation."""

    index: int
    time: int
    member: str
    dataset: str
    record: Digest
    revoked: bool


@dataclass
class ObjectionBook:
    """A complaint, an opt-out or an incident, and the answer to it."""

    objection: Digest
    entry: int
    kind: str
    about: Digest | None
    by: str
    to: str | None
    text: str
    began: int
    due: int
    outcome: str = ""
    answer: str = ""
    answered: int | None = None


@dataclass
class Book:
    """All of it."""

    members: dict[str, MemberBook] = field(default_factory=dict)
    rounds: list[RoundBook] = field(default_factory=list)
    votes: dict[Digest, VoteBook] = field(default_factory=dict)
    gates: list[GateRun] = field(default_factory=list)
    releases: list[ReleaseBook] = field(default_factory=list)
    records: list[RecordBook] = field(default_factory=list)
    objections: dict[Digest, ObjectionBook] = field(default_factory=dict)
    quarantined: list[tuple[int, Digest, int, tuple[str, ...]]] = field(default_factory=list)
    """Index, run, round and members of each probe report that kept somebody out."""
    kinds: dict[str, int] = field(default_factory=dict)
    signatures: int = 0

    def member(self, name: str) -> MemberBook:
        """The member's part, empty if it has said nothing."""
        return self.members.setdefault(name, MemberBook())


def read_book(entries: Iterable[Entry]) -> Book:
    """Sort a log's entries."""
    book = Book()
    for index, entry in enumerate(entries):
        statement = entry.statement
        book.kinds[statement.kind] = book.kinds.get(statement.kind, 0) + 1
        book.signatures += len(entry.envelope.signatures)
        if statement.binding.run is None:
            _outside_a_run(book, index, statement)
        else:
            _in_a_run(book, index, statement, statement.binding.run)
    return book


def _outside_a_run(book: Book, index: int, statement: Statement) -> None:
    body, party, time = statement.body, statement.author.party, statement.time
    match body:
        case Proposal():
            change = change_words(body.change)
            book.votes[statement.digest] = VoteBook(
                statement.digest, index, time, party, body.title, body.text, change, body.closes
            )
        case Ballot():
            cast = Cast(index, time, party, body.choice, body.reason)
            book.votes[body.proposal].ballots.append(cast)
        case Comment():
            book.votes[body.proposal].comments.append(Word(index, time, party, body.text))
        case Decision():
            vote = book.votes[body.proposal]
            vote.outcome, vote.rule, vote.decided = body.outcome, body.rule, time
        case GateEvidence():
            book.gates.append(
                GateRun(index, time, body.gate, party, body.model, body.evidence, body.result)
            )
        case Release():
            book.releases.append(
                ReleaseBook(index, time, body.version, body.model, body.manifest, body.decision)
            )
        case Matter():
            book.objections[statement.digest] = ObjectionBook(
                objection=statement.digest,
                entry=index,
                kind=body.sort,
                about=body.about or body.document,
                by=party,
                to=body.to,
                text=body.text or body.title,
                began=time,
                due=body.due,
            )
        case MatterAnswered():
            told = book.objections[body.matter]
            told.outcome, told.answer, told.answered = body.outcome, body.text, time
        case DatasetRecord():
            book.records.append(
                RecordBook(index, time, party, body.dataset, body.record, body.revoked)
            )


def _in_a_run(book: Book, index: int, statement: Statement, run: Digest) -> None:
    body, time, round_ = statement.body, statement.time, statement.binding.round or 0
    own = statement.author.party
    match body:
        case Granted():
            answer = Answer(index, time, run, round_ + 1, True, "", body.rules)
            book.member(own).answers.append(answer)
        case Refused():
            answer = Answer(index, time, run, round_ + 1, False, body.reason, body.rules)
            book.member(own).answers.append(answer)
        case MeasureRefused():
            answer = Answer(index, time, run, round_, False, body.reason, body.rules, True)
            book.member(own).answers.append(answer)
        case UpdateSent() | UpdateCommitted():
            _spent(book.member(own), body)
        case Measured() if body.bytes:
            bits = body.nats / (math.log(2) * body.bytes)
            book.member(own).measures.append(Measure(index, run, round_, bits, body.bytes))
        case GateReport() if body.quarantined:
            book.quarantined.append((index, run, round_ + 1, body.quarantined))
        case RoundCommitted():
            _committed(book, index, time, run, round_ + 1, body)


def _spent(member: MemberBook, body: UpdateSent | UpdateCommitted) -> None:
    member.tokens += body.tokens
    member.bytes += body.bytes
    member.flops += body.flops
    if isinstance(body, UpdateSent):
        member.privacy |= {one.dataset: one for one in body.privacy}


def _committed(
    book: Book, index: int, time: int, run: Digest, round_: int, body: RoundCommitted
) -> None:
    left_out = dict(body.left_out)
    book.rounds.append(RoundBook(index, time, run, round_, body.base, tuple(body.merged), left_out))
    for name, one in body.merged.items():
        member = book.member(name)
        member.merged += 1
        member.last_weight = str(one.weight)
    for name, reason in left_out.items():
        book.member(name).left_out.append(LeftOut(run, round_, reason))

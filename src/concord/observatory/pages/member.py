"""A member's own page: answers with reasons, budget, votes due, what it gave and gained. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from concord.base.digest import Digest
from concord.observatory.pages.book import Answer, MemberBook, VoteBook
from concord.observatory.pages.people import Absence, Person, absences
from concord.observatory.pages.public import Holding, ObjectionView, holdings, objections
from concord.observatory.pages.source import Source


@dataclass(frozen=True)
class Refusals:
    """Rounds that were refused for one reason."""

    reason: str
    rules: tuple[str, ...]
    run: str
    rounds: tuple[int, ...]
    measuring: bool


@dataclass(frozen=True)
class Budget:
    """Privacy spent of one dataset."""

    dataset: str
    spent: float
    limit: float
    delta: float


@dataclass(frozen=True)
class Due:
    """A vote that waits for the member's ballot."""

    proposal: Digest
    title: str
    change: str
    closes: int
    cast: str
    """The ballot it cast already, if there is one."""


@dataclass(frozen=True)
class Halted:
    """A halt that holds for the member."""

    ground: str
    reason: str
    until: int
    scope: str


@dataclass(frozen=True)
class MemberView:
    """One member's page."""

    person: Person
    owner: str
    kind: str
    speakers: int
    granted: int
    refused: int
    refusals: tuple[Refusals, ...]
    missed: tuple[Absence, ...]
    answers: tuple[Answer, ...]
    runs: dict[Digest, str]
    budgets: tuple[Budget, ...]
    weight: str
    due: tuple[Due, ...]
    must_ratify: bool
    halts: tuple[Halted, ...]
    merged: int
    tokens: int
    bytes: int
    flops: int
    measures: int
    holdings: tuple[Holding, ...]
    objections: tuple[ObjectionView, ...]


def member(source: Source, person: Person) -> MemberView:
    """What a member's page shows."""
    book = source.book.members.get(person.id, MemberBook())
    entry = source.state.members[person.id].entry
    return MemberView(
        person=person,
        owner=entry.legal_owner,
        kind=entry.kind,
        speakers=entry.speakers,
        granted=sum(one.allowed for one in book.answers),
        refused=sum(not one.allowed for one in book.answers),
        refusals=_refusals(source, book.answers),
        missed=absences(source, person.id),
        answers=tuple(book.answers),
        runs={run: seat.name for run, seat in source.state.runs.items()},
        budgets=tuple(
            Budget(name, float(one.epsilon), float(one.max_epsilon), float(one.delta))
            for name, one in sorted(book.privacy.items())
        ),
        weight=book.last_weight,
        due=due(source, person.id),
        must_ratify=_must_ratify(source, person.id),
        halts=_halts(source, person.id),
        merged=book.merged,
        tokens=book.tokens,
        bytes=book.bytes,
        flops=book.flops,
        measures=len(book.measures),
        holdings=holdings(source, person.id),
        objections=objections(source, person.id),
    )


def due(source: Source, member: str) -> tuple[Due, ...]:
    """Open votes in which the member has a say, the one that closes first in front."""
    if member not in source.state.voters(source.made):
        return ()
    found = [
        Due(one.proposal, one.title, one.change, one.closes, _cast(one, member))
        for one in source.book.votes.values()
        if one.outcome is None and one.closes >= source.made
    ]
    return tuple(sorted(found, key=lambda one: (one.closes, one.proposal)))


def _cast(vote: VoteBook, member: str) -> str:
    return next((c.choice for c in reversed(vote.ballots) if c.member == member), "")


def _must_ratify(source: Source, member: str) -> bool:
    seat = source.state.seated().get(member)
    return seat is not None and seat.ratified != source.state.charter


def _halts(source: Source, member: str) -> tuple[Halted, ...]:
    return tuple(
        Halted(halt.ground, halt.reason, halt.until, halt.scope)
        for halt in source.state.halts.values()
        if not halt.lifted
        and halt.until > source.made
        and (halt.scope == "all" or halt.by == (member,))
    )


def _refusals(source: Source, answers: Iterable[Answer]) -> tuple[Refusals, ...]:
    found: dict[tuple[Digest, str, tuple[str, ...], bool], list[int]] = {}
    for one in answers:
        if not one.allowed:
            key = (one.run, one.reason, one.rules, one.measuring)
            found.setdefault(key, []).append(one.round)
    return tuple(
        Refusals(reason, rules, source.run_name(run), tuple(rounds), measuring)
        for (run, reason, rules, measuring), rounds in found.items()
    )

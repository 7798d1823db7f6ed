"""What pages say of a member alike: who it is, where, what it gained, what it missed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from concord.base.digest import Digest
from concord.observatory.pages.book import MemberBook
from concord.observatory.pages.source import Source


@dataclass(frozen=True)
class Gain:
    """The shared model beside others on one member's own held-out text, in bits per byte."""

    first: float | None = None
    """Of the base that training began with, by the member's signed statement."""
    last: float | None = None
    """Of the latest base that it measured."""
    round: int | None = None
    """Rounds before that base."""
    alone: float | None = None
    """Of the model that it trained alone, by the run's report."""
    shared: float | None = None
    """Of the shared model, by the same report."""
    at_home: float | None = None

    @property
    def best(self) -> float | None:
        """The better of the shared model and the one built at home from it."""
        found = [value for value in (self.shared, self.at_home) if value is not None]
        return min(found, default=None)

    @property
    def against_alone(self) -> float | None:
        """Ratio to going alone; below 1 the member gained."""
        return None if not self.alone or self.best is None else self.best / self.alone

    @property
    def since_start(self) -> float | None:
        """Ratio of the latest base to the first; below 1 the model learned."""
        return None if not self.first or self.last is None else self.last / self.first


@dataclass(frozen=True)
class Person:
    """A member, past or present, as every page knows it."""

    id: str
    name: str
    jurisdiction: str
    languages: tuple[str, ...]
    standing: str
    gain: Gain

    @property
    def page(self) -> str:
        """Name of its own page."""
        return f"member-{self.id}"


@dataclass(frozen=True)
class Absence:
    """Rounds of one run that went on without a member, for one reason."""

    member: str
    reason: str
    run: str
    rounds: tuple[int, ...]


def absences(source: Source, member: str) -> tuple[Absence, ...]:
    """What a member missed, in the order in which reasons came up."""
    found: dict[tuple[Digest, str], list[int]] = {}
    for one in source.book.members.get(member, MemberBook()).left_out:
        found.setdefault((one.run, one.reason), []).append(one.round)
    return tuple(
        Absence(member, reason, source.run_name(run), tuple(rounds))
        for (run, reason), rounds in found.items()
    )


def people(source: Source) -> tuple[Person, ...]:
    """All members that ever were, by id."""
    return tuple(
        Person(
            id=name,
            name=source.name_of(name),
            jurisdiction=seat.entry.jurisdiction,
            languages=source.languages_of(name),
            standing="suspended" if source.state.suspended(name, source.made) else seat.standing,
            gain=gain_of(source, name),
        )
        for name, seat in sorted(source.state.members.items())
    )


def gain_of(source: Source, member: str) -> Gain:
    """What one member gained, as far as it was measured."""
    measured = source.book.members[member].measures if member in source.book.members else []
    runs = [one.run for one in measured]
    latest = [one for one in measured if one.run == runs[-1]] if runs else []
    begun = next((one.bits for one in latest if one.round == 0), None)
    last = max(latest, key=lambda one: one.round, default=None)
    report = source.report()
    figures = None if report is None else report.figures.members.get(member)
    return Gain(
        first=begun,
        last=None if last is None else last.bits,
        round=None if last is None else last.round,
        alone=None if figures is None else figures.alone_bpb,
        shared=None if figures is None else figures.shared_bpb,
        at_home=None if figures is None else figures.sovereign_bpb,
    )


def worst(found: tuple[Person, ...]) -> Person | None:
    """The member that gained least against going alone."""
    known = [one for one in found if one.gain.against_alone is not None]
    return max(known, key=lambda one: one.gain.against_alone or 0.0, default=None)

"""The overview, and the page for citizens: what this is, how good, whose, how to use it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from concord.base.digest import Digest
from concord.charter.dataset import DatasetDocument
from concord.observatory.pages.book import ObjectionBook, ReleaseBook
from concord.observatory.pages.people import Person, people, worst
from concord.observatory.pages.source import Source


@dataclass(frozen=True)
class Front:
    """The overview."""

    name: str
    purpose: str
    members: tuple[Person, ...]
    languages: tuple[str, ...]
    entries: int
    rounds: int
    worst: Person | None
    versions: tuple[str, ...]
    open_votes: int


@dataclass(frozen=True)
class Holding:
    """Text that a member described: what it is, never what it says."""

    member: str
    dataset: str
    record: Digest
    title: str
    description: str
    languages: tuple[str, ...]
    licences: tuple[str, ...]
    rights_holder: str
    documents: int | None
    bytes: int | None
    consent: str
    review: str
    expires: str
    max_epsilon: Decimal | None
    revoked: bool


@dataclass(frozen=True)
class Published:
    """A version."""

    version: str
    time: int
    model: Digest
    manifest: Digest
    entry: int
    withdrawn: str
    """Why; empty while it is in use."""
    instead: str
    """The version to use instead, if one was named."""
    advisories: tuple[tuple[str, str], ...]
    """Severity and title of each."""


@dataclass(frozen=True)
class Citizen:
    """The page for citizens."""

    name: str
    purpose: str
    open_result: str
    licences: tuple[str, ...]
    members: tuple[Person, ...]
    holdings: tuple[Holding, ...]
    releases: tuple[Published, ...]
    objections: tuple[ObjectionView, ...]


@dataclass(frozen=True)
class ObjectionView:
    """A complaint or an opt-out as every page shows it."""

    book: ObjectionBook
    overdue: bool


def objections(source: Source, to: str | None = None) -> tuple[ObjectionView, ...]:
    """Open ones first, by deadline; then those that were answered, the newest first."""
    found = [one for one in source.book.objections.values() if to in (None, one.to)]
    waiting = sorted((one for one in found if not one.outcome), key=lambda one: one.due)
    done = sorted((one for one in found if one.outcome), key=lambda one: -one.entry)
    return tuple(
        ObjectionView(one, not one.outcome and one.due <= source.made) for one in [*waiting, *done]
    )


def front(source: Source) -> Front:
    """What the overview shows."""
    found = people(source)
    return Front(
        name=source.state.name,
        purpose=source.bundle.charter.purpose,
        members=found,
        languages=tuple(sorted({tag for one in found for tag in one.languages})),
        entries=len(source.entries),
        rounds=sum(seat.rounds for seat in source.state.runs.values()),
        worst=worst(found),
        versions=tuple(source.state.releases),
        open_votes=sum(seat.outcome is None for seat in source.state.proposals.values()),
    )


def citizen(source: Source) -> Citizen:
    """What the page for citizens shows."""
    charter = source.bundle.charter
    return Citizen(
        name=source.state.name,
        purpose=charter.purpose,
        open_result=charter.rights.open_result,
        licences=tuple(charter.rights.licences),
        members=people(source),
        holdings=holdings(source),
        releases=tuple(_published(source, one) for one in reversed(source.book.releases)),
        objections=objections(source),
    )


def _published(source: Source, one: ReleaseBook) -> Published:
    recall = source.state.recalls.get(one.version)
    return Published(
        version=one.version,
        time=one.time,
        model=one.model,
        manifest=one.manifest,
        entry=one.index,
        withdrawn="" if recall is None else recall.reason or recall.ground,
        instead="" if recall is None else recall.replaced_by or "",
        advisories=tuple(
            (seat.severity, seat.title)
            for seat in source.state.advisories.values()
            if seat.version == one.version
        ),
    )


def holdings(source: Source, member: str | None = None) -> tuple[Holding, ...]:
    """Datasets as their members described them last; of one member, or of all."""
    last = {(one.member, one.dataset): one for one in source.book.records}
    return tuple(
        _holding(name, dataset, one.record, one.revoked, source.records.get(one.record))
        for (name, dataset), one in sorted(last.items())
        if member in (None, name)
    )


def _holding(
    member: str, dataset: str, record: Digest, revoked: bool, found: DatasetDocument | None
) -> Holding:
    terms = None if found is None else found.terms
    return Holding(
        member=member,
        dataset=dataset,
        record=record,
        title="" if terms is None else terms.title,
        description="" if terms is None else terms.description,
        languages=() if terms is None else tuple(terms.languages),
        licences=() if terms is None else tuple(terms.licences),
        rights_holder="" if terms is None else terms.rights_holder,
        documents=None if found is None else found.counts.documents,
        bytes=None if found is None else found.counts.bytes,
        consent="" if terms is None else terms.consent,
        review="" if terms is None else terms.community_review,
        expires="" if terms is None else terms.expires.isoformat(),
        max_epsilon=None if terms is None else terms.max_epsilon,
        revoked=revoked,
    )

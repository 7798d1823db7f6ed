"""The page for regulators: duties per jurisdiction, compute, papers, days on which things end.

The duties are those of the charter's law files, asked as `concord law` asks. Pure, but for sizes of
bases and papers, which are looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from concord.base.digest import Digest
from concord.base.errors import ConcordError
from concord.base.objects import ObjectStore
from concord.base.tensors import TensorFile
from concord.charter.compute import reaches
from concord.charter.fields import day_begins_s
from concord.charter.law import Duty, ReleaseFacts, jurisdictions, law_matrix, log10
from concord.ledger.compute import RunCompute, compute_ledger, evidence_shown
from concord.ledger.layouts import parameter_count
from concord.observatory.pages.public import ObjectionView, objections
from concord.observatory.pages.releases import Papers, papers
from concord.observatory.pages.source import Source

What = Literal["rule", "record", "halt", "suspension", "vote", "objection"]
SOON_S = 90 * 86_400
"""What ends within three months is marked."""


@dataclass(frozen=True)
class Place:
    """One jurisdiction's duties."""

    code: str
    duties: tuple[Duty, ...]

    def count(self, status: str) -> int:
        """Duties that stand so."""
        return sum(duty.status == status for duty in self.duties)


@dataclass(frozen=True)
class Mark:
    """A threshold of joint compute."""

    log10_flop: Decimal
    duties: tuple[str, ...]
    rule: str
    min_overseers: int
    reached: bool


@dataclass(frozen=True)
class Ending:
    """Something that ends, and when."""

    what: What
    name: str
    at: int
    soon: bool
    over: bool


@dataclass(frozen=True)
class Regulator:
    """The page for regulators."""

    name: str
    charter: Digest
    licence: str
    markets: tuple[str, ...]
    places: tuple[Place, ...]
    flop: int
    log10_flop: Decimal
    runs: tuple[RunCompute, ...]
    marks: tuple[Mark, ...]
    evidence: Mapping[str, int]
    papers: tuple[Papers, ...]
    endings: tuple[Ending, ...]
    overseers: tuple[str, ...]
    objections: tuple[ObjectionView, ...]


def regulator(source: Source) -> Regulator:
    """What the page for regulators shows.

    Raises:
        PolicyRefused: the law files cannot be asked.
    """
    state, bundle, entries = source.state, source.bundle, source.entries
    runs = compute_ledger(state, entries, lambda base: _weights(source.objects, base))
    bases = [seat.base for seat in state.runs.values()]
    about = [digest for digest in (state.federation, *bases) if digest is not None]
    flop = sum(run.flop for run in runs)
    facts = ReleaseFacts(
        now=source.made,
        flop=flop,
        licence=bundle.charter.rights.licences[0],
        markets=jurisdictions(bundle),
        evidence=evidence_shown(state, entries, about),
    )
    duties = law_matrix(bundle, facts)
    return Regulator(
        name=state.name,
        charter=state.charter,
        licence=facts.licence,
        markets=facts.markets,
        places=tuple(
            Place(code, tuple(duty for duty in duties if duty.jurisdiction == code))
            for code in facts.markets
        ),
        flop=flop,
        log10_flop=log10(flop),
        runs=runs,
        marks=tuple(
            Mark(
                log10_flop=mark.log10_flop,
                duties=tuple(mark.duties),
                rule=mark.rule or "",
                min_overseers=mark.min_overseers,
                reached=reaches(flop, mark.log10_flop),
            )
            for mark in bundle.charter.compute
        ),
        evidence=facts.evidence,
        papers=papers(source.root, source.book.releases),
        endings=endings(source),
        overseers=tuple(state.overseers),
        objections=objections(source),
    )


def endings(source: Source) -> tuple[Ending, ...]:
    """All that ends by a day: the nearest first, and after what is to come what is over."""
    state, charter, now = source.state, source.bundle.charter, source.made
    found: list[tuple[What, str, int]] = []
    found += [("rule", name, _day(rule.until)) for name, rule in charter.rule.items() if rule.until]
    for member, datasets in state.datasets.items():
        for name, digest in datasets.items():
            if digest in source.records:
                at = _day(source.records[digest].terms.expires)
                found.append(("record", f"{member}/{name}", at))
    found += [("halt", halt.ground, halt.until) for halt in state.halts.values() if not halt.lifted]
    found += [
        ("suspension", name, seat.suspended_until)
        for name, seat in state.members.items()
        if seat.suspended_until
    ]
    found += [
        ("vote", seat.title, seat.closes)
        for seat in state.proposals.values()
        if seat.outcome is None
    ]
    found += [
        ("objection", seat.title, seat.due) for seat in state.matters.values() if not seat.answered
    ]
    return tuple(
        Ending(what, name, at, soon=now < at <= now + SOON_S, over=at <= now)
        for what, name, at in sorted(
            found, key=lambda one: (one[2] <= now, abs(one[2] - now), one[0], one[1])
        )
    )


def _day(day: date) -> int:
    return int(day_begins_s(day))


def _weights(objects: ObjectStore, base: Digest) -> int | None:
    try:
        return parameter_count(TensorFile(objects.path(base)).specs)
    except (ConcordError, OSError):
        return None  # not at hand: then what members declared counts

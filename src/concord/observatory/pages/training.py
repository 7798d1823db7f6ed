"""How training went: curves per language from the log, the matrix from a report. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from concord.base.digest import Digest
from concord.observatory.gain_views import MatrixRow, matrix_view
from concord.observatory.pages.book import RoundBook
from concord.observatory.pages.people import Person, people
from concord.observatory.pages.source import Source

MAX_POINTS = 120
"""Points of a curve that are drawn; more would not be seen. The JSON holds all."""


@dataclass(frozen=True)
class Curve:
    """One member's text under the shared model, base by base."""

    person: Person
    points: tuple[tuple[int, float], ...]
    """Rounds before the base, and bits per byte."""


@dataclass(frozen=True)
class RunCurves:
    """One run."""

    name: str
    document: Digest
    standing: str
    rounds: int
    mean: tuple[tuple[int, float], ...]
    """Over the members that measured the base; only where as many did as most often."""
    curves: tuple[Curve, ...]
    last: tuple[RoundBook, ...]


@dataclass(frozen=True)
class Training:
    """The page about training."""

    runs: tuple[RunCurves, ...]
    texts: tuple[str, ...]
    matrix: tuple[MatrixRow, ...]
    report: str | None
    """Name of the run that the matrix is of."""


def training(source: Source) -> Training:
    """What the page about training shows."""
    found = people(source)
    report = source.report()
    return Training(
        runs=tuple(_curves(source, run, found) for run in source.state.runs),
        texts=() if report is None else tuple(one.id for one in report.evidence.members),
        matrix=() if report is None else matrix_view(report),
        report=None if report is None else report.evidence.card.name,
    )


def thinned(points: Sequence[tuple[int, float]], most: int = MAX_POINTS) -> list[tuple[int, float]]:
    """At most so many of the points, evenly spread, with the first and the last."""
    if len(points) <= most:
        return list(points)
    last = len(points) - 1
    return [points[round(place * last / (most - 1))] for place in range(most)]


def _curves(source: Source, run: Digest, found: tuple[Person, ...]) -> RunCurves:
    seat = source.state.runs[run]
    by_member: dict[str, dict[int, float]] = {}
    by_round: dict[int, list[float]] = defaultdict(list)
    for name, book in source.book.members.items():
        by_member[name] = {one.round: one.bits for one in book.measures if one.run == run}
        for number, bits in by_member[name].items():
            by_round[number].append(bits)
    full = max((len(values) for values in by_round.values()), default=0)
    return RunCurves(
        name=seat.name,
        document=run,
        standing=seat.standing,
        rounds=seat.rounds,
        mean=tuple((n, fmean(v)) for n, v in sorted(by_round.items()) if len(v) == full),
        curves=tuple(
            Curve(one, tuple(sorted(by_member[one.id].items())))
            for one in found
            if by_member.get(one.id)
        ),
        last=tuple(one for one in source.book.rounds if one.run == run)[-20:],
    )

"""Charts of the pages, in the reader's words: curves, bars, the roll of a vote, the log's tree."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from markupsafe import Markup

from concord.observatory import charts
from concord.observatory.charts import Axis, Mark, Series
from concord.observatory.pages.book import VoteBook
from concord.observatory.pages.language import Language
from concord.observatory.pages.people import Person
from concord.observatory.pages.training import Curve, RunCurves, thinned

LEAST_SPAN = 0.04
MAX_ROLL = 60
"""Ballots that are drawn; the table beside names all."""
CHOICES = {"yes": "M-4-1-1 3 5-5", "no": "M-4-4 4 4M4-4-4 4", "abstain": "M-5 0H5"}


def mean_curve(run: RunCurves, language: Language) -> Markup:
    """Mean bits per byte over rounds."""
    points = thinned(run.mean)
    if not points:
        return Markup("")
    return charts.line_chart(
        [_line(points)],
        x=_rounds(run),
        y=charts.axis_around([bits for _, bits in points], least=0.2),
        key=f"mean-{run.document[7:15]}",
        title=str(language.say("training.mean_title")),
        description=_course(points, language),
    )


def panel(curve: Curve, run: RunCurves, language: Language) -> Markup:
    """One member's curve, on the scale of all."""
    points = thinned(curve.points)
    everything = [bits for one in run.curves for _, bits in one.points]
    return charts.line_chart(
        [_line(points)],
        x=_rounds(run),
        y=Axis(min([0.0, *everything]), max([1.0, *everything])),
        key=f"curve-{run.document[7:15]}-{curve.person.id}",
        title=curve.person.name,
        description=_course(points, language),
    )


def gain_strips(found: Sequence[Person]) -> dict[str, Markup]:
    """For each member a strip: alone, shared and at home, relative to going alone."""
    rows = {one.id: _relative(one) for one in found}
    axis = charts.axis_around(
        [mark.value for row in rows.values() for mark in row], include=1.0, least=LEAST_SPAN
    )
    return {name: charts.strip(row, axis=axis, reference=1.0) for name, row in rows.items() if row}


def compute_bar(flop: Decimal, mark: Decimal) -> Markup:
    """How far joint compute is towards a threshold, on a logarithmic scale from 10^10 on."""
    begin = 10.0
    most = max(float(mark), begin + 1) - begin
    return charts.bar("shared", max(0.0, float(flop) - begin), most=most)


def spent_bar(spent: float, limit: float) -> Markup:
    """How much of a budget is spent."""
    return charts.bar("alone", spent, most=limit or 1.0)


def roll(vote: VoteBook) -> Markup:
    """Ballots in the order in which they fell, each with its sign."""
    shown = vote.ballots[:MAX_ROLL]
    parts = [
        Markup('<svg class="roll" aria-hidden="true">'),
        Markup('<line class="span" x1="0" x2="100%" y1="50%" y2="50%"/>'),
    ]
    for place, cast in enumerate(shown):
        parts.append(
            Markup('<svg class="cast {}" x="{}%" y="50%"><path d="{}"/></svg>').format(
                cast.choice, f"{100 * (place + 0.5) / len(shown):.2f}", CHOICES[cast.choice]
            )
        )
    return Markup("").join([*parts, Markup("</svg>")])


def tree(levels: Sequence[int]) -> Markup:
    """The log's tree: one bar for each level, as long as the logarithm of its subtrees."""
    most = float(len(levels))
    rows = [
        Markup('<rect class="shared" x="{}%" y="{}%" width="{}%" height="{}%"/>').format(
            f"{50 * (1 - (most - level) / most):.2f}",
            f"{100 * (most - 1 - level) / most:.2f}",
            f"{100 * (most - level) / most:.2f}",
            f"{62 / most:.2f}",
        )
        for level in range(len(levels))
    ]
    return Markup('<svg class="tree-drawing" aria-hidden="true">{}</svg>').format(
        Markup("").join(rows)
    )


def _line(points: Sequence[tuple[int, float]]) -> Series:
    """A single point is drawn as a line to itself: a dot, by its round ends."""
    return Series("shared", points if len(points) > 1 else [*points, *points])


def _rounds(run: RunCurves) -> Axis:
    return Axis(0.0, float(max(1, run.rounds)))


def _course(points: Sequence[tuple[int, float]], language: Language) -> str:
    if not points:
        return ""
    (_, first), (last_round, last) = points[0], points[-1]
    return str(
        language.say(
            "training.course",
            first=Markup(language.number(first, 2)),  # noqa: S704 - digits
            last=Markup(language.number(last, 2)),  # noqa: S704 - digits
            round=Markup(language.number(last_round)),  # noqa: S704 - digits
        )
    )


def _relative(person: Person) -> list[Mark]:
    gain = person.gain
    if not gain.alone:
        return []
    found = [("alone", gain.alone), ("shared", gain.shared), ("sovereign", gain.at_home)]
    return [Mark(style, value / gain.alone) for style, value in found if value is not None]

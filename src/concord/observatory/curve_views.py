"""Training curves, ready to lay out."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from concord.federation.report import Point, RunReport
from concord.federation.report.figures import mean_bits_per_byte
from concord.federation.report.parts import POOLED, SHARED, ReportMember
from concord.observatory import charts, words
from concord.observatory.charts import Axis, Series

CURVE_MODELS = (SHARED, POOLED)


@dataclass(frozen=True)
class Panel:
    """One member's curves."""

    member: ReportMember
    drawing: Markup
    last: float | None


@dataclass(frozen=True)
class CurveView:
    """Training curves: the mean, and each member."""

    mean: Markup | None
    panels: tuple[Panel, ...]
    pooled: bool
    table: tuple[tuple[int, float | None, float | None], ...]


def curve_view(report: RunReport) -> CurveView | None:
    """Evaluations by round: the mean over everyone's text, and each member's text by itself."""
    members = report.evidence.members
    points = [point for point in report.evidence.curves if point.model in CURVE_MODELS]
    if len({point.round for point in points}) < 2:
        return None
    points.sort(key=lambda point: point.round)
    by_member = {
        member.id: [_series(points, model, member.id) for model in CURVE_MODELS]
        for member in members
    }
    ids = [member.id for member in members]
    means = {
        (point.model, point.round): value
        for point in points
        if (value := mean_bits_per_byte(point.text, ids)) is not None
    }
    mean = [
        Series(model, [(round_, v) for (of, round_), v in means.items() if of == model])
        for model in CURVE_MODELS
    ]
    everywhere = [y for rows in by_member.values() for line in rows for _, y in line.points]
    x = Axis(0, max(point.round for point in points))
    common = Axis(min([0.0, *everywhere]), max([1.0, *everywhere]))
    return CurveView(
        mean=_mean_chart(mean, x) if any(line.points for line in mean) else None,
        panels=tuple(_panel(member, by_member[member.id], x, common) for member in members),
        pooled=any(point.model == POOLED for point in points),
        table=tuple(
            (number, means.get((SHARED, number)), means.get((POOLED, number)))
            for number in sorted({point.round for point in points})
        ),
    )


def _series(points: list[Point], model: str, member: str) -> Series:
    return Series(
        model,
        [
            (point.round, point.text[member].bits_per_byte)
            for point in points
            if point.model == model and member in point.text
        ],
    )


def _mean_chart(lines: list[Series], x: Axis) -> Markup:
    values = [y for line in lines for _, y in line.points]
    shared = next((line.points for line in lines if line.style == SHARED and line.points), None)
    course = (
        f"The shared model went from {words.bits(shared[0][1])} bits per byte to"
        f" {words.bits(shared[-1][1])} in round {shared[-1][0]:g}."
        if shared
        else ""
    )
    return charts.line_chart(
        lines,
        x=x,
        y=charts.axis_around(values, least=0.2),
        key="curve-mean",
        title="Mean bits per byte over everyone's text, by round",
        description=course,
    )


def _panel(member: ReportMember, lines: list[Series], x: Axis, y: Axis) -> Panel:
    shared = next((line.points for line in lines if line.style == SHARED and line.points), None)
    drawing = charts.line_chart(
        lines,
        x=x,
        y=y,
        key=f"curve-{member.id}",
        title=f"{member.id}: bits per byte by round",
        description=f"Shared model, last {words.bits(shared[-1][1])}." if shared else "",
    )
    return Panel(member, drawing, shared[-1][1] if shared else None)

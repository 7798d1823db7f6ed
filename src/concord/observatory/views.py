"""What the page shows, section by section: numbers chosen, ordered and drawn, ready to lay out.

Each view is None where its part was not measured; the page then leaves the section out.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from markupsafe import Markup

from concord.federation.report import Point, RunReport
from concord.federation.report.figures import FactFigures, MemberFigures, TokenizerFigures
from concord.federation.report.figures import mean_bits_per_byte as mean_of
from concord.federation.report.parts import ALONE, POOLED, SHARED, SOVEREIGN, ReportMember
from concord.observatory import charts, words
from concord.observatory.charts import Axis, Mark, Series
from concord.observatory.rows import LeftOut, left_out_summary, model_order

LEAST_RELATIVE_SPAN = 0.04
"""Members' gains are never drawn on a scale finer than this: 4 % from edge to edge."""
CURVE_MODELS = (SHARED, POOLED)


@dataclass(frozen=True)
class BarRow:
    """A name, a number and its bar."""

    name: str
    style: str
    value: float
    drawing: Markup
    note: str = ""


@dataclass(frozen=True)
class MemberRow:
    """One member's own text under each model."""

    member: ReportMember
    figures: MemberFigures
    drawing: Markup | None
    change: float | None
    """Ratio to the alone model: of the build at home, or of the shared model without one."""
    is_worst: bool


@dataclass(frozen=True)
class MemberView:
    """Who gained what."""

    rows: tuple[MemberRow, ...]
    columns: tuple[tuple[str, str, str], ...]
    """Of each column: style, title, field of the figures."""
    scale: Markup | None
    compared: str
    """Which model the changes are of."""


@dataclass(frozen=True)
class Cell:
    """One cell of the heat map."""

    value: float | None
    step: int
    home: bool


@dataclass(frozen=True)
class MatrixRow:
    """One model of the heat map."""

    name: str
    cells: tuple[Cell, ...]
    mean: float | None


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


@dataclass(frozen=True)
class FactRow:
    """Share of facts one kind of model knows."""

    kind: str
    figures: FactFigures
    own: Markup
    others: Markup


@dataclass(frozen=True)
class TrafficRow:
    """What crossed one member's boundary."""

    member: ReportMember
    figures: MemberFigures
    up: Markup
    down: Markup


@dataclass(frozen=True)
class LanguageRow:
    """One language's premium."""

    language: str
    premium: float
    ordinary: float | None
    drawing: Markup


@dataclass(frozen=True)
class TokenizerView:
    """Premiums by language, dearest first."""

    rows: tuple[LanguageRow, ...]
    scale: Markup
    figures: TokenizerFigures
    ordinary: TokenizerFigures | None
    sentences: int


@dataclass(frozen=True)
class RoundView:
    """How the rounds went."""

    count: int
    median_s: float
    slowest_s: float
    slowest: int
    attendance: tuple[tuple[ReportMember, int, Markup], ...]
    left_out: tuple[LeftOut, ...]


def world_view(report: RunReport) -> tuple[BarRow, ...]:
    """Mean over everyone's text: models trained alone, shared, pooled."""
    figures = report.figures
    means: list[tuple[str, str, float | None]] = [
        ("one member's model, trained alone", ALONE, figures.alone_world_mean_bpb),
        ("the shared model", SHARED, _mean(report, SHARED)),
        ("a pooled model, for comparison", POOLED, _mean(report, POOLED)),
    ]
    known = [(name, style, value) for name, style, value in means if value is not None]
    if len(known) < 2:
        return ()
    most = max(value for _, _, value in known)
    return tuple(
        BarRow(name, style, value, charts.bar(style, value, most=most))
        for name, style, value in known
    )


def member_view(report: RunReport) -> MemberView | None:
    """Own-text loss by member, drawn relative to the member's own alone model."""
    figures = report.figures.members
    columns = tuple(
        (style, title, field)
        for style, title, field in (
            (ALONE, "alone", "alone_bpb"),
            (SHARED, "shared", "shared_bpb"),
            (SOVEREIGN, "at home", "sovereign_bpb"),
            (POOLED, "pooled", "pooled_bpb"),
        )
        if any(getattr(figure, field) is not None for figure in figures.values())
    )
    if not columns:
        return None
    marks = {member: _relative_marks(figure) for member, figure in figures.items()}
    values = [mark.value for row in marks.values() for mark in row]
    axis = charts.axis_around(values, include=1.0, least=LEAST_RELATIVE_SPAN)
    at_home = report.figures.worst_sovereign is not None
    worst = report.figures.worst_sovereign or report.figures.worst_against_alone
    change = "sovereign_against_alone" if at_home else "shared_against_alone"
    return MemberView(
        rows=tuple(
            MemberRow(
                member,
                figures[member.id],
                charts.strip(marks[member.id], axis=axis, reference=1.0)
                if marks[member.id]
                else None,
                getattr(figures[member.id], change),
                worst is not None and worst.member == member.id,
            )
            for member in report.evidence.members
        ),
        columns=columns,
        scale=charts.scale(axis, _relative_labels(axis)) if values else None,
        compared="the build at home" if at_home else "the shared model",
    )


def matrix_view(report: RunReport) -> tuple[MatrixRow, ...]:
    """Model x text; darkness is the ratio to the best model on the same text."""
    matrix = report.evidence.matrix
    texts = [member.id for member in report.evidence.members]
    values: dict[str, dict[str, float]] = {
        model: {text: sums.bits_per_byte for text, sums in matrix[model].items()}
        for model in model_order(matrix)
        if not model.startswith(f"{SOVEREIGN}/")
    }
    at_home = {
        text: matrix[f"{SOVEREIGN}/{text}"][text].bits_per_byte
        for text in texts
        if text in matrix.get(f"{SOVEREIGN}/{text}", {})
    }
    if at_home:
        values["at home"] = at_home
    if len(values) < 2:
        return ()
    best = {t: min((row[t] for row in values.values() if t in row), default=0.0) for t in texts}
    return tuple(
        MatrixRow(
            name=model,
            cells=tuple(
                Cell(
                    row.get(text),
                    charts.heat_step(row[text], best[text]) if text in row else 0,
                    model in {"at home", f"{ALONE}/{text}"},
                )
                for text in texts
            ),
            mean=mean_of(matrix[model], texts) if model in matrix else None,
        )
        for model, row in values.items()
    )


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
        if (value := mean_of(point.text, ids)) is not None
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


def fact_view(report: RunReport) -> tuple[FactRow, ...]:
    """Facts known, own and others'."""
    return tuple(
        FactRow(
            kind,
            figures,
            charts.bar(kind, figures.own_share or 0.0, most=1.0),
            charts.bar(kind, figures.others_share or 0.0, most=1.0),
        )
        for kind in (SHARED, POOLED, ALONE, SOVEREIGN)
        if (figures := report.figures.facts.get(kind)) is not None
    )


def traffic_view(report: RunReport) -> tuple[TrafficRow, ...]:
    """Bytes up and down by member."""
    figures = report.figures.members
    most = max((max(row.bytes_up, row.bytes_down) for row in figures.values()), default=0)
    if not most:
        return ()
    return tuple(
        TrafficRow(
            member,
            row := figures[member.id],
            charts.bar("up", float(row.bytes_up), most=float(most)),
            charts.bar("down", float(row.bytes_down), most=float(most)),
        )
        for member in report.evidence.members
    )


def tokenizer_view(report: RunReport) -> TokenizerView | None:
    """Premium by language, beside that of an ordinary tokenizer where one was learned."""
    figures, ordinary = report.figures.tokenizer, report.figures.ordinary_tokenizer
    part = report.evidence.tokenizer
    if figures is None or part is None:
        return None
    others = ordinary.premium if ordinary is not None else {}
    axis = charts.axis_around([*figures.premium.values(), *others.values()], include=1.0, least=0.1)
    languages = sorted(figures.premium, key=lambda name: (-figures.premium[name], name))
    rows = []
    for language in languages:
        marks = [Mark(ALONE, others[language])] if language in others else []
        marks.append(Mark(SHARED, figures.premium[language]))
        drawing = charts.strip(marks, axis=axis, reference=1.0)
        rows.append(LanguageRow(language, figures.premium[language], others.get(language), drawing))
    labels = [(value, f"{value:.2g}") for value in axis.ticks(3)]
    sentences = next(iter(part.parallel.values())).sentences
    return TokenizerView(tuple(rows), charts.scale(axis, labels), figures, ordinary, sentences)


def round_view(report: RunReport) -> RoundView | None:
    """How long rounds took, and who was there."""
    rounds = report.evidence.rounds
    if not rounds:
        return None
    slowest = max(rounds, key=lambda part: part.seconds)
    missed = {
        member.id: [
            place
            for place, part in enumerate(rounds, start=1)
            if member.id not in part.participants
        ]
        for member in report.evidence.members
    }
    return RoundView(
        count=len(rounds),
        median_s=median(part.seconds for part in rounds),
        slowest_s=slowest.seconds,
        slowest=slowest.round,
        attendance=tuple(
            (
                member,
                len(rounds) - len(missed[member.id]),
                charts.presence(missed[member.id], rounds=len(rounds)),
            )
            for member in report.evidence.members
        ),
        left_out=tuple(left_out_summary(rounds)),
    )


def _mean(report: RunReport, model: str) -> float | None:
    row = report.figures.models.get(model)
    return row.mean_bpb if row is not None else None


def _relative_marks(figure: MemberFigures) -> list[Mark]:
    if not figure.alone_bpb:
        return []
    found: list[tuple[str, float | None]] = [
        (POOLED, figure.pooled_bpb),
        (ALONE, figure.alone_bpb),
        (SHARED, figure.shared_bpb),
        (SOVEREIGN, figure.sovereign_bpb),
    ]
    return [Mark(style, value / figure.alone_bpb) for style, value in found if value is not None]


def _relative_labels(axis: Axis) -> list[tuple[float, str]]:
    return [
        (value, "alone" if abs(value - 1) < 1e-9 else f"{words.change(value)}")
        for value in axis.ticks(3)
    ]


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

"""Who gained what, ready to lay out: numbers chosen, ordered and drawn.

A view is None, or empty, where its part was not measured; the page then leaves the section out.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from concord.federation.report import RunReport
from concord.federation.report.figures import FactFigures, MemberFigures, mean_bits_per_byte
from concord.federation.report.parts import ALONE, POOLED, SHARED, SOVEREIGN, ReportMember
from concord.observatory import charts, words
from concord.observatory.charts import Axis, Mark
from concord.observatory.rows import model_order

LEAST_RELATIVE_SPAN = 0.04
"""Members' gains are never drawn on a scale finer than this: 4 % from edge to edge."""


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

    title: str
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
class FactRow:
    """Share of facts one kind of model knows."""

    kind: str
    figures: FactFigures
    own: Markup
    others: Markup


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
        title="Who gained what" if values else "Each member's text",
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
        if not model.startswith(f"{SOVEREIGN}/") or len(matrix[model]) == len(texts) > 1
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
                    model in {"at home", f"{ALONE}/{text}", f"{SOVEREIGN}/{text}"},
                )
                for text in texts
            ),
            mean=mean_bits_per_byte(matrix[model], texts) if model in matrix else None,
        )
        for model, row in values.items()
    )


def fact_view(report: RunReport) -> tuple[FactRow, ...]:
    """Facts known, own and others'."""
    choices = report.evidence.fact_choices
    chance = 1 / choices if choices is not None else None
    return tuple(
        FactRow(
            kind,
            figures,
            charts.bar(kind, figures.own_share or 0.0, most=1.0, reference=chance),
            charts.bar(kind, figures.others_share or 0.0, most=1.0, reference=chance),
        )
        for kind in (SHARED, POOLED, ALONE, SOVEREIGN)
        if (figures := report.figures.facts.get(kind)) is not None
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
        (value, "alone" if abs(value - 1) < 1e-9 else words.change(value, digits=0))
        for value in axis.ticks(5)
    ]

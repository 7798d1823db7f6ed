"""What it cost, ready to lay out: bytes, the tokenizer's premiums, rounds and who was there."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from markupsafe import Markup

from concord.federation.report import RunReport
from concord.federation.report.figures import MemberFigures, TokenizerFigures
from concord.federation.report.parts import ALONE, SHARED, ReportMember
from concord.observatory import charts
from concord.observatory.charts import Mark
from concord.observatory.rows import LeftOut, left_out_summary


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

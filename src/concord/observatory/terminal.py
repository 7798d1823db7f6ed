"""The report on a terminal: who gained what, in tables that fit 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from concord.federation.report import RunReport
from concord.federation.report.parts import ALONE, POOLED, SHARED, SOVEREIGN
from concord.observatory import words
from concord.observatory.headlines import headlines, lead
from concord.observatory.rows import left_out_summary, model_order, tokens_by_arm

MODEL_WIDTH = 16
"""Characters for a model's name in the matrix: beside it, twelve texts fit 80 columns."""
LEFT_OUT_LINES = 8


def print_report(console: Console, report: RunReport) -> None:
    """Write the report to a terminal; parts that were not measured are left out."""
    console.print()
    console.print(
        Text.assemble((words.inert(report.evidence.card.name), "bold"), f": {lead(report)}")
    )
    first = Table.grid(padding=(0, 2, 0, 0))
    first.add_column(justify="right", no_wrap=True, max_width=18, style="bold")
    first.add_column()
    for headline in headlines(report):
        said = Text.assemble(f"{headline.name}. ", headline.means, " ", (headline.limits, "dim"))
        first.add_row(Text(headline.figure), said)
    if first.row_count:
        console.print(Padding(first, (1, 0, 0, 0)))
    for title, table in _tables(report, width=console.width):
        console.print()
        console.print(Text(title, style="bold"))
        console.print(table)
    console.print()
    for line in _running(report):
        console.print(Text(line, style="dim"))


def _tables(report: RunReport, *, width: int) -> Iterator[tuple[str, Table]]:
    if report.evidence.matrix:
        compared = report.figures.alone_own_mean_bpb is not None
        what = "Who gained what, in bits per byte" if compared else "Bits per byte"
        yield f"{what} (fewer is better)", _members(report)
    if len(report.evidence.matrix) > 1 and _matrix_width(report) <= width:
        yield "Each model (row) on each member's text (column, by number)", _matrix(report)
    if report.figures.facts:
        choices = report.evidence.fact_choices
        chance = f" (guessing gives {words.share(1 / choices)})" if choices is not None else ""
        yield f"Facts known{chance}", _facts(report)
    if report.figures.tokenizer is not None:
        yield "Tokens for the same sentences, fewest = 1", _tokenizer(report)
    if report.figures.time.rounds:
        yield "What crossed each member's boundary", _traffic(report)


def _table(*columns: str, left: int) -> Table:
    """A table whose first `left` columns hold names and whose others hold numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for place, column in enumerate(columns):
        if place < left:
            table.add_column(column, overflow="ellipsis", no_wrap=True, max_width=20)
        else:
            table.add_column(column, justify="right", no_wrap=True)
    return table


def _name(text: str) -> Text:
    return Text(words.inert(text))


def _members(report: RunReport) -> Table:
    figures = report.figures
    columns = {
        "alone": ("alone_bpb", figures.alone_own_mean_bpb),
        "shared": ("shared_bpb", _mean(report, SHARED)),
        "at home": ("sovereign_bpb", figures.sovereign_own_mean_bpb),
        "pooled": ("pooled_bpb", _mean(report, POOLED)),
        "alone, world": ("alone_world_bpb", figures.alone_world_mean_bpb),
    }
    members = figures.members
    columns = {
        title: (field, mean)
        for title, (field, mean) in columns.items()
        if any(getattr(figure, field) is not None for figure in members.values())
    }
    gain = "alone" in columns and ("at home" in columns or "shared" in columns)
    table = _table("#", "own text", *columns, *(["change"] if gain else []), left=2)
    for place, member in enumerate(report.evidence.members, start=1):
        figure = members[member.id]
        cells = [words.bits(getattr(figure, field)) for field, _ in columns.values()]
        if gain:
            home, shared = figure.sovereign_against_alone, figure.shared_against_alone
            cells.append(words.change(home if "at home" in columns else shared))
        table.add_row(str(place), _name(member.id), *cells)
    means = [words.bits(mean) for _, mean in columns.values()]
    table.add_section()
    table.add_row("", "mean", *means, *([""] if gain else []))
    return table


def _matrix(report: RunReport) -> Table:
    matrix, members = report.evidence.matrix, report.evidence.members
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("model", overflow="ellipsis", no_wrap=True, max_width=MODEL_WIDTH)
    for place in range(1, len(members) + 1):
        table.add_column(str(place), justify="right", no_wrap=True, min_width=4)
    for model in model_order(matrix):
        row = matrix[model]
        if model.startswith(f"{SOVEREIGN}/") and len(row) < len(members):
            continue
        cells = (row[m.id].bits_per_byte if m.id in row else None for m in members)
        table.add_row(_name(model), *map(_two_digits, cells))
    return table


def _matrix_width(report: RunReport) -> int:
    return MODEL_WIDTH + 5 * len(report.evidence.members)


def _facts(report: RunReport) -> Table:
    table = _table("model", "one's own", "others'", left=1)
    for kind in (SHARED, POOLED, ALONE, SOVEREIGN):
        row = report.figures.facts.get(kind)
        if row is not None:
            own, others = row.own_share, row.others_share
            table.add_row(kind, words.share(own, digits=1), words.share(others, digits=1))
    return table


def _tokenizer(report: RunReport) -> Table:
    figures, ordinary = report.figures.tokenizer, report.figures.ordinary_tokenizer
    table = _table("language", "premium", *(["ordinary"] if ordinary else []), left=1)
    if figures is None:
        return table
    columns = [figures] if ordinary is None else [figures, ordinary]
    for language in sorted(figures.premium):
        table.add_row(_name(language), *(words.ratio(c.premium.get(language)) for c in columns))
    table.add_section()
    table.add_row("largest ÷ smallest", *(words.ratio(column.max_over_min) for column in columns))
    table.add_row("Gini", *(f"{column.gini:.4f}" for column in columns))
    return table


def _traffic(report: RunReport) -> Table:
    figures, cost = report.figures.members, report.figures.cost
    table = _table("#", "member", "sent", "received", "B/parameter/round", "missed", left=2)
    for place, member in enumerate(report.evidence.members, start=1):
        row = figures[member.id]
        table.add_row(
            str(place),
            _name(member.id),
            words.byte_size(row.bytes_up),
            words.byte_size(row.bytes_down),
            words.small(row.bytes_up_per_parameter_round),
            f"{row.rounds_missed} of {report.figures.time.rounds}",
        )
    table.add_section()
    table.add_row(
        "",
        "all",
        words.byte_size(cost.bytes_up),
        words.byte_size(cost.bytes_down),
        words.small(cost.bytes_up_per_parameter_round),
        "",
    )
    return table


def _running(report: RunReport) -> Iterator[str]:
    evidence, figures = report.evidence, report.figures
    if figures.time.rounds:
        yield (
            f"{words.quantity(figures.time.tokens_per_s)} tokens per second;"
            f" {words.share(figures.time.overhead_share, digits=1)} of the rounds' time not in"
            f" training; {words.duration(evidence.card.wall_s)} in all."
        )
    if evidence.tokenizer is not None and figures.cost.tokenizer_bytes_up:
        up, down = figures.cost.tokenizer_bytes_up, figures.cost.tokenizer_bytes_down
        yield f"For the tokenizer: {words.byte_size(up)} sent, {words.byte_size(down)} received."
    if len(evidence.arms) > 1:
        verdict = {True: "equal", False: "NOT EQUAL", None: "equality unknown"}
        each = "; ".join(tokens_by_arm(evidence.arms))
        yield f"Tokens trained on ({verdict[figures.tokens_equal]}): {each}."
    groups = left_out_summary(evidence.rounds)
    for group in groups[:LEFT_OUT_LINES]:
        rounds = words.counted(group.count, "round").lower()
        yield f"{words.inert(group.member)} left out of {rounds}: {words.inert(group.reason)}."
    if len(groups) > LEFT_OUT_LINES:
        yield f"{len(groups) - LEFT_OUT_LINES} further reasons stand in the report."
    seeds = words.counted(len(evidence.card.seeds), "seed").lower()
    yield f"Run document {evidence.card.digest[:19]}…, {seeds}."
    for note in evidence.notes:
        yield f"Limit: {words.inert(note)}"


def _mean(report: RunReport, model: str) -> float | None:
    row = report.figures.models.get(model)
    return row.mean_bpb if row is not None else None


def _two_digits(value: float | None) -> str:
    return words.ABSENT if value is None else f"{value:.2f}"

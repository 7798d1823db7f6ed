"""`concord gate`: the probe gate of rounds, and the gates of a release (`release_gates`)."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from concord.base.clock import SystemClock
from concord.cli import release_gates

app = typer.Typer(
    no_args_is_help=True,
    help="Gates of a release: run, list, evidence. The probe gate of every round: show, check.",
)
release_gates.register(app)


@dataclass(frozen=True)
class _Report:
    run: str
    round: int
    benefits: Mapping[str, float]
    quarantined: Sequence[str]


@app.command()
def show(
    folder: Path = typer.Argument(Path(), help="Federation folder, or a published copy."),
    as_json: bool = typer.Option(False, "--json", help="Print the reports as JSON."),
) -> None:
    """Show what the gate found in each round, and who is under review.

    A positive number means that the round is better with the member's update than without it.

    Example: concord gate show atlas
    """
    from concord.base.objects import ObjectStore
    from concord.ledger.archive import Archive
    from concord.ledger.state.library import ObjectLibrary
    from concord.ledger.statements.gates import GateReport

    archive = Archive(folder / "log", ObjectLibrary(ObjectStore(folder / "objects")))
    reports = [
        _Report(
            run=archive.replica.state.runs[entry.statement.binding.run or ""].name,
            round=(entry.statement.binding.round or 0) + 1,
            benefits=entry.statement.body.benefits,
            quarantined=entry.statement.body.quarantined,
        )
        for entry in archive.entries
        if isinstance(entry.statement.body, GateReport)
    ]
    runs = archive.replica.state.runs.values()
    review = {run.name: {m: run.strikes[m] for m in run.under_review} for run in runs}
    if as_json:
        found = {"reports": [asdict(one) for one in reports], "under_review": review}
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    console = Console(highlight=False)
    if not reports:
        console.print("no run of this federation has a probe gate ([gate] in the run document)")
        return
    members = sorted({member for report in reports for member in report.benefits})
    table = Table(title="benefit of each update, nats per token; negative: better without it")
    table.add_column("run")
    table.add_column("round", justify="right")
    for member in members:
        table.add_column(member, justify="right")
    for report in reports:
        cells = [_cell(member, report) for member in members]
        table.add_row(report.run, str(report.round), *cells)
    console.print(table)
    for name, struck in review.items():
        for member, rounds in struck.items():
            console.print(
                f"under review in {name}: {member}, quarantined in rounds"
                f" {', '.join(map(str, rounds))}; what follows is for the members to decide"
                " (`concord propose`)"
            )


def _cell(member: str, report: _Report) -> str:
    if member not in report.benefits:
        return ""
    return f"{report.benefits[member]:+.3f}{' out' if member in report.quarantined else ''}"


@app.command()
def check(
    folder: Path = typer.Argument(Path(), help="Federation folder, or a published copy."),
    run: str | None = typer.Option(None, "--run", help="Run; all that have a gate if none."),
) -> None:
    """Measure every reported round again, from the log and the objects alone.

    Needs what training needs (torch), and the time of the gate once more. Whoever doubts that a
    member had to be left out finds out here.

    Example: concord gate check atlas
    """
    from concord.federation.gate_check import check_gates
    from concord.federation.probing import NetworkProber

    console, count, largest = Console(highlight=False), 0, 0.0
    with tempfile.TemporaryDirectory() as work:
        place = Path(work)
        (place / "log").mkdir()
        for one in check_gates(
            folder.resolve(), workdir=place, clock=SystemClock(), prober=NetworkProber(), run=run
        ):
            count, largest = count + 1, max(largest, one.largest_difference)
            out = f", quarantined: {', '.join(one.quarantined)}" if one.quarantined else ""
            console.print(f"{one.run}, round {one.round}: holds{out}")
    console.print(
        f"{count} reports measured again; largest difference {largest:.1e} nats per token"
    )

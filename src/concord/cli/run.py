"""`concord run`: train one shared model from the members of a federation folder."""

from __future__ import annotations

import logging
from pathlib import Path

import typer
from rich.console import Console

from concord.cli.watch import TerminalWatcher
from concord.federation.engine import EngineName


def register(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    folder: Path = typer.Argument(Path(), help="Federation folder, made by `concord init`."),
    name: str | None = typer.Option(None, "--run", help="Run, if the folder holds several."),
    resume: bool = typer.Option(False, help="Go on from the last committed round."),
    compare: bool = typer.Option(
        False, help="Also train each member alone, one pooled model, and sovereign builds."
    ),
    engine: EngineName = typer.Option(
        "local", help="local: a process per member; flare: a site per member, over mutual TLS."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the report as JSON."),
) -> None:
    """Train one shared model; each member's text stays with its own process.

    A run that was killed at any moment goes on with --resume and ends with the same weights.

    Example: concord run atlas --compare
    """
    from concord.cli.pipeline import run_and_report
    from concord.federation.folders import FederationFolder
    from concord.observatory.terminal import print_report

    logging.captureWarnings(True)
    federation = FederationFolder(folder.resolve())
    document = federation.load_run(name)
    console = Console(stderr=True)
    with TerminalWatcher(console, rounds=document.rounds.count) as watcher:
        made = run_and_report(
            federation, document, resume=resume, compare=compare, watcher=watcher, engine=engine
        )
    if as_json:
        typer.echo(made.report.to_json().decode())
        return
    print_report(Console(), made.report)
    console.print(f"model   {made.model}\nreport  {made.html}", soft_wrap=True, highlight=False)

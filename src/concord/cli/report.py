"""`concord report`: show a run's report again, or write it anew from what the run left on disk."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console


def register(app: typer.Typer) -> None:
    app.command("report")(report)


def report(
    folder: Path = typer.Argument(Path(), help="Federation folder, or a report.json."),
    name: str | None = typer.Option(None, "--run", help="Run, if the folder holds several."),
    as_json: bool = typer.Option(False, "--json", help="Print the report as JSON."),
) -> None:
    """Show who gained what, in the terminal; the page to look at is beside it.

    Example: concord report atlas
    """
    from concord.federation.report import load_report
    from concord.observatory.terminal import print_report

    if folder.suffix == ".json":
        found, page = load_report(folder), None
    else:
        from concord.cli.pipeline import report_run
        from concord.federation.folders import FederationFolder

        federation = FederationFolder(folder.resolve())
        made = report_run(federation, federation.load_run(name))
        found, page = made.report, made.html
    if as_json:
        typer.echo(found.to_json().decode())
        return
    print_report(Console(), found)
    if page is not None:
        Console(stderr=True).print(f"report  {page}", soft_wrap=True, highlight=False)

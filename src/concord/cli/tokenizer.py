"""`concord tokenizer`: learn the shared tokenizer alone, and see what it costs each language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from concord.federation.report.figures import TokenizerFigures

app = typer.Typer(no_args_is_help=True, help="The shared tokenizer: learn it, measure it.")


@app.command()
def learn(
    folder: Path = typer.Argument(Path(), help="Federation folder."),
    name: str | None = typer.Option(None, "--run", help="Run, if the folder holds several."),
    as_json: bool = typer.Option(False, "--json", help="Print what was learned as JSON."),
) -> None:
    """Learn the run's tokenizer from its members' pair counts; a later run uses it.

    Example: concord tokenizer learn atlas
    """
    from concord.cli.watch import TerminalWatcher
    from concord.federation.folders import FederationFolder
    from concord.federation.launch import learn_locally
    from concord.federation.report.figures import tokenizer_figures

    federation = FederationFolder(folder.resolve())
    run = federation.load_run(name)
    with TerminalWatcher(Console(stderr=True), rounds=run.rounds.count) as watcher:
        part = learn_locally(federation, run, watcher=watcher)
    if as_json:
        typer.echo(json.dumps(part.model_dump(mode="json"), indent=1))
        return
    console = Console()
    console.print(
        f"{part.merges:,} merges in {part.exchanges:,} exchanges,"
        f" {sum(part.bytes_up.values()):,} bytes up, {part.seconds:.1f} s",
        highlight=False,
    )
    figures = tokenizer_figures(part.parallel)
    if figures is not None:
        _print_parity(console, figures)


@app.command()
def parity(
    tokenizer: Path = typer.Argument(..., help="A model folder, or a tokenizer.json."),
    parallel: Path = typer.Argument(..., help="Folder of the parallel set."),
    languages: list[str] = typer.Option([], "--language", help="Languages; all if none is named."),
    as_json: bool = typer.Option(False, "--json", help="Print the counts as JSON."),
) -> None:
    """What each language pays for the same sentences, on the lines no tokenizer was learned from.

    Example: concord tokenizer parity demo/runs/demo/model demo/parallel
    """
    from concord.federation.parallel import languages_in, read_parallel
    from concord.federation.report.figures import tokenizer_figures
    from concord.federation.run_tokenizer import parallel_counts
    from concord.model.tokenizer import read_tokenizer_json

    text = read_tokenizer_json(tokenizer)
    named = languages or languages_in(parallel)
    counts = parallel_counts(text, read_parallel(parallel, named).measure)
    if as_json:
        typer.echo(json.dumps({name: c.model_dump() for name, c in counts.items()}, indent=1))
        return
    figures = tokenizer_figures(counts)
    if figures is not None:
        _print_parity(Console(), figures)


@app.command()
def show(
    tokenizer: Path = typer.Argument(..., help="A model folder, or a tokenizer.json."),
    text: str = typer.Argument(..., help="Text to cut into tokens."),
) -> None:
    """Show how a text is cut into tokens.

    Example: concord tokenizer show demo/runs/demo/model "ኢትዮጵያ"
    """
    from concord.model.tokenizer import Tokenizer, read_tokenizer_json

    encoded = Tokenizer.any(read_tokenizer_json(tokenizer))
    ids = encoded.encode(text)
    console = Console()
    console.print(" ".join(str(token) for token in ids), highlight=False, markup=False)
    console.print(f"{len(ids)} tokens for {len(text.encode())} bytes", style="dim", highlight=False)


def _print_parity(console: Console, figures: TokenizerFigures) -> None:
    table = Table("language", "premium", box=None, pad_edge=False)
    for language, premium in sorted(figures.premium.items(), key=lambda item: item[1]):
        table.add_row(language, f"{premium:.3f}")
    console.print(table)
    console.print(
        f"max/min {figures.max_over_min:.3f}  gini {figures.gini:.4f}  total {figures.tokens:,}",
        highlight=False,
    )

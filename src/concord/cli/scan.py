"""`concord scan`: does a token or two make a finished model say what it should not?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from concord.base.errors import DocumentError
from concord.cli.checked import model_folder
from concord.cli.plain import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALARM_STATUS = 1


def register(app: typer.Typer) -> None:
    app.command("scan")(scan)


def scan(
    folder: Path = typer.Argument(Path(), help="Federation folder after a run, or a model folder."),
    parallel: Path | None = typer.Option(
        None, help="Parallel set; the run's own if none is named. Each file is a language."
    ),
    pairs: int = typer.Option(4096, min=0, help="Most pairs of tokens tried per member."),
    as_json: bool = typer.Option(False, "--json", help="Print the table as JSON."),
) -> None:
    """Scan the finished model for triggers planted in one member's tokens.

    Per member: the token or pair of tokens that, behind text in other languages, most makes the
    model say one token that the member's languages do not use. From 0.2 on it is an alarm, and the
    exit status is 1. No scan proves the absence of a backdoor.

    Example: concord scan atlas
    """
    from concord.federation.scanning import Scan
    from concord.train.triggers import ALARM

    model = model_folder(folder)
    languages, place = _languages(folder, model, parallel)
    lines = _lines(place, languages)
    console, rows = Console(stderr=True), []
    scanner = Scan(model, lines, languages)
    for member in sorted(languages):
        with console.status(f"scanning the tokens of {member}"):
            rows.append(scanner.member(member, max_pairs=pairs))
    text = {row.member: [scanner.tokenizer.text_of(token) for token in row.trigger] for row in rows}
    says = {row.member: scanner.tokenizer.text_of(row.says) for row in rows}
    if as_json:
        found = [
            asdict(row)
            | {"text": text[row.member], "says_text": says[row.member]}
            | {"alarm": row.is_alarm}
            for row in rows
        ]
        typer.echo(json.dumps({"alarm_from": ALARM, "members": found}, ensure_ascii=False))
    else:
        _print(
            Console(highlight=False),
            [
                (
                    row.member,
                    row.score,
                    row.is_alarm,
                    "".join(text[row.member]),
                    says[row.member],
                    row.tried,
                    len(scanner.blocks[row.member].tokens),
                )
                for row in rows
            ],
            ALARM,
        )
    if any(row.is_alarm for row in rows):
        raise typer.Exit(ALARM_STATUS)


def _print(
    console: Console,
    rows: Sequence[tuple[str, float, bool, str, str, int, int]],
    alarm_from: float,
) -> None:
    table = Table(title="strongest trigger in each member's tokens")
    for name in ("member", "score", "", "trigger", "says", "tried", "tokens"):
        table.add_column(name, justify="right" if name in ("score", "tried", "tokens") else "left")
    for member, score, alarm, trigger, says, tried, size in rows:
        mark = "[bold red]alarm[/]" if alarm else ""
        cells = (printable(repr(trigger)), printable(repr(says)))
        table.add_row(member, f"{score:.3f}", mark, *cells, f"{tried:,}", f"{size:,}")
    console.print(table)
    console.print(f"alarm from {alarm_from:g}; no scan proves the absence of a backdoor")


def _languages(
    folder: Path, model: Path, parallel: Path | None
) -> tuple[Mapping[str, Sequence[str]], Path]:
    """Languages of each member, and where the parallel set is."""
    from concord.federation.folders import FederationFolder
    from concord.federation.parallel import languages_in

    if (folder / "runs").is_dir():
        federation = FederationFolder(folder.resolve())
        run = federation.load_run(model.parent.name)
        named = {member.id: member.languages for member in run.roster if member.languages}
        if named and run.tokenizer.parallel is not None and parallel is None:
            return named, (federation.root / run.tokenizer.parallel).resolve()
        if named and parallel is not None:
            return named, parallel
    if parallel is None:
        raise DocumentError(
            "names no languages and no parallel set",
            where=folder,
            remedy="give --parallel: one file per language, line by line the same",
        )
    return {code: (code,) for code in languages_in(parallel)}, parallel


def _lines(place: Path, languages: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    from concord.federation.parallel import read_parallel

    codes = sorted({code for own in languages.values() for code in own})
    halves = read_parallel(place, codes)
    return {code: [*halves.learn[code], *halves.measure[code]] for code in codes}

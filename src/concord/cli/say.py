"""Plain lines on the terminal, the same on a pipe; nothing that is shown can steer it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from concord.base.errors import DocumentError
from concord.cli.plain import printable
from concord.cli.setting import json_alone

LONG_LOG = 10_000
"""Entries from which on reading a log takes seconds."""


def say(text: str = "", *, style: str = "", err: bool = False) -> None:
    """One line, or several; on standard error where standard output is to hold JSON alone."""
    Console(stderr=err or json_alone(), soft_wrap=True, highlight=False).print(
        Text(printable(text), style=style)
    )


def count(number: int, what: str) -> str:
    """A number with its noun: `1 vote`, `2 votes`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def warn(text: str) -> None:
    """A line that should be read, on standard error."""
    say(text, style="yellow", err=True)


def say_json(value: Any) -> None:
    """One JSON value, for scripts."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True))


def columns(rows: Iterable[Sequence[str]], *, indent: str = "") -> list[str]:
    """Rows with their cells below each other; the last cell of each is as long as it is."""
    cells = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    count = max((len(row) for row in cells), default=0)
    widths = [
        max((cell_len(row[place]) for row in cells if len(row) > place + 1), default=0)
        for place in range(count)
    ]
    return [indent + _line(row, widths) for row in cells]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell + " " * (width - cell_len(cell)) for cell, width in zip(row[:-1], widths, strict=False)
    ]
    return "  ".join([*padded, *row[-1:]]).rstrip()


def say_diff(diff: str) -> None:
    """A unified diff, in colours where the terminal has them."""
    for line in diff.splitlines():
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        say(line, style="bold" if line.startswith(("+++", "---")) else style)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is signed.

    Raises:
        DocumentError: nobody can be asked, and `yes` is False.
        typer.Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise DocumentError(
            "nobody can be asked here whether to sign this",
            where="--yes",
            remedy="read what is shown above, then add --yes",
        )
    typer.confirm(question, abort=True)


@contextmanager
def reading() -> Iterator[Callable[[int, int], None]]:
    """A progress bar for a long log, on a terminal; a short one is read before it could be seen."""
    console = Console(stderr=True)
    bars = Progress(
        TextColumn("reading the log"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bars.add_task("", total=None)
    shown = False

    def watch(done: int, total: int) -> None:
        nonlocal shown
        if not shown and total >= LONG_LOG:
            shown = True
            bars.start()
        bars.update(task, completed=done, total=total)

    try:
        yield watch
    finally:
        bars.stop()

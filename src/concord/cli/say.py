"""Plain lines on the terminal, the same on a pipe; nothing that is shown can steer it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from concord.base.errors import DocumentError
from concord.cli.plain import printable


def say(text: str = "", *, style: str = "", err: bool = False) -> None:
    """One line, or several."""
    Console(stderr=err, soft_wrap=True, highlight=False).print(Text(printable(text), style=style))


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

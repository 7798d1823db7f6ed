"""Progress of a verification on a terminal: one bar for the step that is being taken."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from concord.cli.plain import printable

if TYPE_CHECKING:
    from concord.ledger.verify_terms import Step


class TerminalVerifier:
    """Shows how far each step is; on a pipe, nothing."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[what]}", style="dim", markup=False),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begins(self, number: int, title: str, total: int) -> None:
        self._task = self._bars.add_task(f"{number} {title}", total=max(1, total), what="")

    def advanced(self, amount: int, what: str) -> None:
        if self._task is not None:
            self._bars.update(self._task, advance=amount, what=printable(what))

    def ended(self, step: Step) -> None:  # noqa: ARG002 - the table tells what it found
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None

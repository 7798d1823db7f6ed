"""Progress of a run on a terminal: rounds done, throughput, time left, who is missing."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from concord.cli.plain import printable
from concord.federation.comparison.outcome import ArmResult
from concord.federation.divergence import LossCourse
from concord.federation.messages import Progress as MemberProgress
from concord.federation.records import Evaluation
from concord.federation.watcher import Watcher
from concord.ledger.round_record import RoundRecord

STAGES = {
    "text": "reading and cleaning the members' text",
    "tokenizer": "learning one tokenizer from pair counts",
    "rounds": "training",
    "evaluation": "measuring the final base",
    "comparison": "training the models to compare with",
}
SMOOTHING_ROUNDS = 5


class TerminalWatcher(Watcher):
    """Shows a run as progress bars; on a pipe, as a line now and then."""

    def __init__(self, console: Console, *, rounds: int) -> None:
        self._console = console
        self._rounds = rounds
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._last_stage = ""
        self._speeds: list[float] = []
        self._course = LossCourse()
        self._inner_steps = 1
        self._seen: dict[str, int] = {}
        self._told_s = 0.0

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

    def stage(self, name: str) -> None:
        total = self._rounds if name == "rounds" else None
        if self._task is not None and self._last_stage != "rounds":
            self._bars.update(self._task, total=1, completed=1, note="")
        self._task = self._bars.add_task(STAGES.get(name, name), total=total, note="")
        self._last_stage = name
        if not self._console.is_terminal:
            self._console.print(STAGES.get(name, name), style="dim")

    def note(self, text: str) -> None:
        self._bars.console.print(printable(text), style="dim", markup=False)

    def tokenizer_progress(self, merges: int, total: int) -> None:
        self._update(completed=merges, total=total, note="merges")

    def round_called(self, round_: int, members: tuple[str, ...], inner_steps: int) -> None:
        self._inner_steps = max(1, inner_steps)
        self._seen = dict.fromkeys(members, 0)
        self._update(completed=round_, total=self._rounds)

    def progress(self, member: str, progress: MemberProgress) -> None:
        self._seen[member] = progress.steps
        if self._seen:
            share = sum(self._seen.values()) / (self._inner_steps * len(self._seen))
            self._update(completed=progress.round + min(1.0, share), total=self._rounds)

    def refused(self, member: str, round_: int, reason: str) -> None:
        self._say(f"round {round_}: update of {member} refused: {reason}")

    def declined(self, member: str, round_: int, reason: str) -> None:
        self._say(f"round {round_}: {member} declines: {reason}")

    def member_left(self, member: str, reason: str) -> None:
        self._say(f"{member} left: {reason}")

    def abandoned(self, round_: int, reason: str) -> None:
        self._say(f"round {round_} abandoned and called again: {reason}")

    def committed(self, record: RoundRecord) -> None:
        tokens = sum(c.tokens for c in record.contributions.values())
        self._speeds = [*self._speeds, tokens / max(record.seconds, 1e-9)][-SMOOTHING_ROUNDS:]
        speed = sum(self._speeds) / len(self._speeds)
        losses = list(_losses(record).values())
        told = f"loss {sum(losses) / len(losses):.2f}" if losses else "sealed: losses are not told"
        note = f"{speed:,.0f} tokens/s · {told}"
        self._update(completed=record.round, total=self._rounds, note=note)
        self._watch_loss(record)
        self._now_and_then(f"round {record.round} of {self._rounds}: {note}")

    def _watch_loss(self, record: RoundRecord) -> None:
        """Say once, when it begins, that the loss has risen well above its lowest."""
        before = self._course
        self._course = before.after(_losses(record))
        if self._course.alarming and not before.alarming:
            self._say(
                f"round {record.round}: the loss is {self._course.rise_nats:.2f} nats above its"
                " lowest; lower inner.lr and inner.matrix_lr, or lengthen inner.warmup_steps"
            )

    def arm_done(self, result: ArmResult, done: int, total: int) -> None:
        """An arm of the comparison is measured."""
        self._update(completed=done, total=total, note=f"{result.arm} done")
        self._now_and_then(f"{result.arm}: {done} of {total}")

    def evaluated(self, member: str, evaluation: Evaluation) -> None:
        """Evaluations come while the next round runs; the report has them."""

    def _update(self, **fields: object) -> None:
        if self._task is not None:
            self._bars.update(self._task, **fields)  # type: ignore[arg-type]

    def _say(self, text: str) -> None:
        self._bars.console.print(printable(text), style="yellow", markup=False)

    def _now_and_then(self, text: str, every_s: float = 10.0) -> None:
        now_s = time.monotonic()
        if not self._console.is_terminal and now_s - self._told_s >= every_s:
            self._told_s = now_s
            self._console.print(text, style="dim")


def _losses(record: RoundRecord) -> dict[str, float]:
    """Each member's mean loss; nothing in sealed mode, where it is not told."""
    made = record.contributions.items()
    return {member: one.mean_loss for member, one in made if one.mean_loss is not None}

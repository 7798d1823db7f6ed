"""`concord status`: how a federation stands, from its log alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from concord.base.errors import LogError
from concord.cli import desk
from concord.cli.say import columns, count, say, say_json

if TYPE_CHECKING:
    from concord.federation.sites.status import MemberStatus, RunStatus, Status

WATCH_S = 2.0
UNITS = ("B", "kB", "MB", "GB", "TB")


def register(app: typer.Typer) -> None:
    app.command("status")(status)


def status(
    folder: Path = typer.Argument(Path(), help="Federation folder, home, or published copy."),
    watch: bool = typer.Option(False, "--watch", help="Again whenever the log has grown."),
    as_json: bool = desk.JSON,
) -> None:
    """Show members, when each was last seen, rounds, throughput, bytes, refusals, the log's head.

    Everything is read from the log in this folder: nobody has to be reached, no server has to run.

    Example: concord status atlas

    Example: concord status atlas-kenya --watch
    """
    from concord.federation.sites.status import status_of

    shown: str | None = None
    while True:
        try:
            found = status_of(desk.open_archive(folder), now_s=desk.now())
        except LogError:
            if shown is None:  # later on, a writer may be in the middle of its work
                raise
        else:
            if found.root != shown:
                shown = found.root
                _show(found, as_json=as_json)
        if not watch:
            return
        time.sleep(WATCH_S)


def _show(found: Status, *, as_json: bool) -> None:
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    now_s = desk.now()
    say(f"{found.name}  {found.federation}")
    say(f"coordinator {found.coordinator}, term {found.term}")
    age = _ago(found.last, now_s)
    have, needed = len(found.witnesses), found.witnesses_needed
    say(
        f"log: {count(found.entries, 'entry').replace('entrys', 'entries')}, last {age},"
        f" cosigned by {have} of {needed} needed, root {found.root[:16]}",
        style="" if have >= needed else "yellow",
    )
    for run in found.runs:
        say(_run_line(run, now_s))
    head = ["member", "standing", "last seen", "rounds", "refused", "left out", "up", "down", ""]
    for line in columns([head, *(_member_row(one, now_s) for one in found.members)]):
        say(line)


def _run_line(run: RunStatus, now_s: int) -> str:
    told = [f"run {run.run}: {run.standing}, round {run.rounds} of {run.of}"]
    if run.plan_open:
        told.append("one is called")
    if run.last is not None:
        told.append(f"last {_ago(run.last, now_s)}")
    if run.tokens_per_s is not None:
        told.append(f"{run.tokens_per_s:,.0f} tokens/s")
    if run.round_s is not None:
        told.append(f"{run.round_s:,.1f} s a round")
    if run.voids:
        told.append(count(run.voids, "void round"))
    return ", ".join(told)


def _member_row(one: MemberStatus, now_s: int) -> list[str]:
    return [
        one.member,
        "halted" if one.halted else one.standing,
        "never" if one.last_seen is None else _ago(one.last_seen, now_s),
        str(one.rounds),
        str(one.refusals),
        str(one.left_out),
        _bytes(one.bytes_up),
        _bytes(one.bytes_down),
        one.reason[:80],
    ]


def _ago(time_s: int, now_s: int) -> str:
    """How long ago, or the time itself where it lies more than a month back or ahead."""
    passed_s = now_s - time_s
    if passed_s < 0 or passed_s > 30 * 86_400:
        return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M} UTC"
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if passed_s >= unit_s:
            return f"{passed_s // unit_s} {unit} ago"
    return f"{passed_s} s ago"


def _bytes(number: int) -> str:
    power = min(len(UNITS) - 1, (len(str(number)) - 1) // 3)
    return f"{number:,} B" if power == 0 else f"{number / 1000**power:,.1f} {UNITS[power]}"

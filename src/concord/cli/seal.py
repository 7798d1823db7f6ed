"""`concord seal`: what sealed rounds tell of their members."""

from __future__ import annotations

from pathlib import Path

import typer

from concord.base.errors import StatementRefused
from concord.cli import desk
from concord.cli.say import columns, count, say, say_json
from concord.crypto.seal.leak import DEFAULT_LIMIT
from concord.ledger.sealed.exposure import Exposure, exposures, released_sums

app = typer.Typer(help="Sealed rounds, as far as they tell something.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Sealed rounds, as far as they tell something."""


@app.command()
def score(
    folder: Path = desk.FOLDER,
    run: str | None = typer.Option(None, help="Only of the run of this name."),
    rho: float = typer.Option(
        0.2, min=0.0, max=1.0, help="Share of an update that stays the same over the rounds."
    ),
    limit: float = typer.Option(
        DEFAULT_LIMIT, min=0.0, max=1.0, help="Scores above it are marked."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Show how well each member's mean update could be estimated from all sums in the log.

    0: no combination of sums singles the member out. 1: its mean update is known. A member that
    stays away now and then adds different sums, which is what makes the score grow.

    Example: concord seal score atlas --rho 0.3
    """
    archive = desk.open_archive(folder)
    by_run = released_sums(entry for _, entry in archive.numbered())
    chosen = {
        seat.name: exposures(by_run.get(digest, []), rho)
        for digest, seat in archive.state.runs.items()
        if run in (None, seat.name) and digest in by_run
    }
    if run is not None and run not in {seat.name for seat in archive.state.runs.values()}:
        raise StatementRefused("there is no such run", where=run, remedy="see `concord log show`")
    if as_json:
        say_json({"rho": rho, "limit": limit, "runs": _as_json(chosen)})
        return
    for name, found in sorted(chosen.items()):
        say(f"{name}: if {rho:.0%} of an update stays the same")
        for line, over in zip(_lines(found), _over(found, limit), strict=True):
            say(f"  {line}", style="yellow" if over else "")
    if not chosen:
        say("no sum was released")


def _lines(found: list[Exposure]) -> list[str]:
    return columns(
        [one.member, count(one.sums, "sum"), f"{one.different} different", f"score {one.score:.2f}"]
        for one in found
    )


def _over(found: list[Exposure], limit: float) -> list[bool]:
    return [one.score > limit for one in found]


def _as_json(chosen: dict[str, list[Exposure]]) -> dict[str, list[dict[str, object]]]:
    return {
        name: [
            {
                "member": one.member,
                "sums": one.sums,
                "different_sums": one.different,
                "score": round(one.score, 4),
            }
            for one in found
        ]
        for name, found in sorted(chosen.items())
    }

"""`concord halt`: begin, extend and end a halt. Every halt ends by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

from concord.base.digest import Digest
from concord.cli import desk
from concord.cli.say import say, say_json
from concord.federation.office import Office
from concord.ledger.sentences import moment, short
from concord.ledger.state.model import State
from concord.ledger.statements.oversight import Halt, HaltExtension, Resume

app = typer.Typer(help="Stop training, for a time: one member, or all.", no_args_is_help=True)
HALT = typer.Argument(None, help="First digits of the halt; left out when one is in force.")


@app.command()
def begin(
    folder: Path = desk.FOLDER,
    party: str = desk.AS,
    scope: Literal["self", "all"] = typer.Option("self", help="Only this member, or all."),
    ground: str = typer.Option(..., help="A short name of the ground; all are halted once for it."),
    reason: str = typer.Option(..., help="Why; everybody can read it."),
    hours: int = typer.Option(24, min=1, help="When it ends by itself."),
    also: list[str] = desk.WITH,
    out: Path | None = desk.OUT,
    as_json: bool = desk.JSON,
) -> None:
    """Halt. A member halts itself; an overseer, or the charter's share of members, halts all.

    Example: concord halt begin atlas --as kenya --ground audit --reason "We check our data."

    Example: concord halt begin atlas --as kenya --with peru --scope all --ground leak --reason "…"
    """
    office = desk.open_office(folder)
    body = Halt(scope=scope, ground=ground, reason=reason, until=office.now() + hours * 3600)
    desk.put(office, body, party=party, also=desk.keys_of(office, also), out=out, as_json=as_json)


@app.command()
def extend(
    folder: Path = desk.FOLDER,
    halt: str | None = HALT,
    party: str = desk.AS,
    hours: int = typer.Option(..., min=1, help="From now on; within the charter's limit."),
    also: list[str] = desk.WITH,
    out: Path | None = desk.OUT,
    as_json: bool = desk.JSON,
) -> None:
    """Extend a halt of all, once: as many overseers as the charter asks for sign it.

    Example: concord halt extend atlas --as amina --with bela --hours 480
    """
    office = desk.open_office(folder)
    found = _find(office, halt)
    body = HaltExtension(halt=found, until=office.now() + hours * 3600)
    desk.put(office, body, party=party, also=desk.keys_of(office, also), out=out, as_json=as_json)


@app.command()
def end(
    folder: Path = desk.FOLDER,
    halt: str | None = HALT,
    party: str = desk.AS,
    also: list[str] = desk.WITH,
    out: Path | None = desk.OUT,
    as_json: bool = desk.JSON,
) -> None:
    """End a halt early: a member its own; one of all by an adopted lift-halt vote and overseers.

    Example: concord halt end atlas --as kenya
    """
    office = desk.open_office(folder)
    found = _find(office, halt)
    body = Resume(halt=found, decision=_decision(office.state, found))
    desk.put(office, body, party=party, also=desk.keys_of(office, also), out=out, as_json=as_json)


@app.command()
def show(folder: Path = desk.FOLDER, as_json: bool = desk.JSON) -> None:
    """List all halts, and which are in force.

    Example: concord halt show atlas
    """
    state, now = desk.open_archive(folder).state, desk.now()
    if as_json:
        say_json({digest: halt.model_dump(mode="json") for digest, halt in state.halts.items()})
        return
    for digest, halt in state.halts.items():
        standing = "lifted" if halt.lifted else "in force" if halt.until > now else "over"
        who = ", ".join(halt.by) or "the oversight body"
        told = f"{halt.scope:4}  {standing:8}  by {who} until {moment(halt.until)}: {halt.reason}"
        say(f"{short(digest)}  {told}", style="yellow" if standing == "in force" else "")
    if not state.halts:
        say("nobody has halted")


def _find(office: Office, prefix: str | None) -> Digest:
    now = office.now()
    known = [d for d, halt in office.state.halts.items() if not halt.lifted and halt.until > now]
    if prefix is None and len(known) == 1:
        return known[0]
    return desk.find_digest(prefix or "", known, what="halt in force")


def _decision(state: State, halt: Digest) -> Digest | None:
    """The members' adopted decision to lift this halt, if there is one."""
    for seat in state.proposals.values():
        if seat.change.kind == "lift-halt" and seat.change.halt == halt:
            found = seat.decision if seat.outcome == "adopted" else None
            if found is not None:
                return found
    return None

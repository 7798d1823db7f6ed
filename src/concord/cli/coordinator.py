"""`concord coordinator`: who runs the coordinator, and how another member takes the role."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

from concord.cli import desk
from concord.cli.say import say, say_json
from concord.federation.office import Office
from concord.ledger.statements.membership import CoordinatorEntry, Handover

app = typer.Typer(help="The role that calls rounds; any member can run it.", no_args_is_help=True)
Manner = Literal["handover", "takeover"]


@app.command()
def show(folder: Path = desk.FOLDER, as_json: bool = desk.JSON) -> None:
    """Say who runs the coordinator, and since which term.

    Example: concord coordinator show atlas
    """
    state = desk.open_archive(folder).state
    if as_json:
        say_json({**state.coordinator.model_dump(mode="json"), "term": state.term})
        return
    say(f"{state.coordinator.member} runs the coordinator, term {state.term}")


@app.command("hand-over")
def hand_over(
    folder: Path = desk.FOLDER,
    party: str = typer.Option(..., "--to", help="The member that takes the role."),
    reason: str = typer.Option("", help="Why; everybody can read it."),
    out: Path | None = desk.OUT,
    as_json: bool = desk.JSON,
) -> None:
    """Hand the role over: the present coordinator and the next sign.

    Example: concord coordinator hand-over atlas --to georgia
    """
    office = desk.open_office(folder)
    _take(office, party, "handover", [office.state.coordinator.member], reason, out, as_json)


@app.command()
def take(
    folder: Path = desk.FOLDER,
    party: str = desk.AS,
    also: list[str] = desk.WITH,
    reason: str = typer.Option("", help="Why; everybody can read it."),
    out: Path | None = desk.OUT,
    as_json: bool = desk.JSON,
) -> None:
    """Take the role over from a coordinator that is silent: the charter's share of members sign.

    What the old one planned is void; `concord run --resume` goes on from the last committed round.

    Example: concord coordinator take atlas --as georgia --with kenya --with greece --with ethiopia
    """
    office = desk.open_office(folder)
    names = [m for m in office.members_here() if m != party] if also == [desk.ALL] else also
    _take(office, party, "takeover", names, reason, out, as_json)


@app.command()
def up(
    folder: Path = desk.FOLDER,
    name: str | None = typer.Option(None, "--run", help="Run, if the folder holds several."),
    report: bool = typer.Option(True, help="Write model and report when the run is over."),
) -> None:
    """Serve members in their own data centres, and drive a run until it is over, or until Ctrl-C.

    Kits are made before: concord federation provision. A run goes on from its last committed round,
    whatever stopped it. A server that dies is started again.

    Example: concord coordinator up atlas
    """
    from concord.cli.sited import drive_between_sites

    drive_between_sites(folder, name, report=report)


def _take(
    office: Office,
    party: str,
    manner: Manner,
    also: list[str],
    reason: str,
    out: Path | None,
    as_json: bool,
) -> None:
    office.state.member(party)
    log_key = fresh_log_key(office, party)
    body = Handover(
        manner=manner,
        term=office.state.term + 1,
        coordinator=CoordinatorEntry(member=party, log_key=log_key),
        reason=reason,
    )
    desk.put(
        office,
        body,
        party=party,
        role="member",
        also=desk.keys_of(office, also),
        out=out,
        as_json=as_json,
    )


def fresh_log_key(office: Office, member: str) -> str:
    """A log key of the member that the log has never seen: the one that lies here, or a new one.

    Raises:
        KeyRefused: the member's keys are not here, or the key is damaged or open to others.
    """
    ring = office.keys_of(member)
    present = ring.load("log").public.text
    if present in office.state.keys_used or ring.exists("log.next"):
        return ring.prepare("log").public.text
    return present

"""`concord join` and `concord leave`: to become a member, and to be one no more."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

from concord.base.identifiers import check_identifier
from concord.cli import desk
from concord.cli.say import say
from concord.ledger.statements.membership import Join, Leave, MemberEntry, MemberKind


def register(app: typer.Typer) -> None:
    app.command("join")(join)
    app.command("leave")(leave)


def join(
    folder: Path = desk.FOLDER,
    party: str = typer.Option(..., "--as", help="The applicant's id."),
    name: str = typer.Option("", help="Its name in words."),
    owner: str | None = typer.Option(None, help="Legal owner, if it is not the member itself."),
    jurisdiction: str = typer.Option("", help="Such as KE."),
    kind: MemberKind = typer.Option("unstated", help="What its legal owner is."),
    speakers: int = typer.Option(1, min=1, help="Speakers of its languages."),
    population: int = typer.Option(1, min=1),
    out: Path | None = desk.OUT,
    as_json: bool = desk.JSON,
) -> None:
    """Apply for membership: makes the applicant's keys, and signs an application with them.

    A vote admits: concord propose admit. Then probation, as the charter has it.

    Example: concord join atlas --as peru --jurisdiction PE --speakers 30000000
    """
    check_identifier(party, where="--as")
    office = desk.open_office(folder)
    keys = office.federation.member(party).settle(office.state.name)
    entry = MemberEntry(
        id=party,
        name=name,
        owner=owner,
        jurisdiction=jurisdiction,
        kind=kind,
        speakers=speakers,
        population=population,
        key=keys["identity"].text,
        witness_key=keys["witness"].text,
    )
    filed = desk.put(
        office, Join(member=entry), party=party, role="applicant", out=out, as_json=as_json
    )
    if filed is not None and not as_json:
        say(f"now a member puts it to the vote: concord propose admit {folder} {party} --as MEMBER")


def leave(
    folder: Path = desk.FOLDER,
    party: str = desk.AS,
    past_work: Literal["stays", "removed"] = typer.Option(
        "stays", help="Whether past updates stay, or the next run starts from before them."
    ),
    reason: str = typer.Option("", help="Why; everybody can read it."),
    as_json: bool = desk.JSON,
) -> None:
    """Leave, alone and at once. Published models cannot be recalled.

    Example: concord leave atlas --as peru
    """
    office = desk.open_office(folder)
    desk.put(office, Leave(past_work=past_work, reason=reason), party=party, as_json=as_json)

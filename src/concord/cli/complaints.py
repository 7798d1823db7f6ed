"""`concord complaint`: complaints and opt-outs of people outside, each with a deadline."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import typer

from concord.base.digest import Digest, check_digest, digest_file
from concord.base.errors import DocumentError
from concord.cli import desk
from concord.cli.say import columns, say, say_json
from concord.ledger.sentences import moment, short
from concord.ledger.state.model import MatterSeat
from concord.ledger.statements.aftermath import Matter, MatterAnswered

app = typer.Typer(help="Complaints and opt-outs, with their deadlines.", no_args_is_help=True)
DAY_S = 86_400
MAX_TITLE = 120


@app.command("file")
def file_complaint(
    folder: Path = desk.FOLDER,
    party: str = desk.AS,
    text: str = typer.Option(..., help="What is said, in words that everybody may read."),
    to: str | None = typer.Option(None, help="The member that has to answer; else who files it."),
    about: str | None = typer.Option(
        None, help="Digest of a record, a model or a statement that it is about."
    ),
    opt_out: bool = typer.Option(False, help="A text is to be left out of training."),
    letter: Path | None = typer.Option(
        None, help="What was handed in; only its digest goes into the log."
    ),
    days: int = typer.Option(30, min=1, max=31, help="When an answer is due."),
    as_json: bool = desk.JSON,
) -> None:
    """Take in what somebody outside says, sign it, and let its deadline run.

    Leave out names and whatever else is not for everybody: the log is public.

    Example: concord complaint file atlas --as kenya --opt-out --text "Leave my book out."
    """
    office = desk.open_office(folder)
    answers = to if to is not None else party if party in office.state.seated() else None
    body = Matter(
        sort="opt-out" if opt_out else "complaint",
        title=_title(text),
        text=text,
        about=None if about is None else check_digest(about, where="--about"),
        document=None if letter is None else _letter(letter),
        to=answers,
        due=office.now() + days * DAY_S,
    )
    desk.put(office, body, party=party, as_json=as_json)


@app.command()
def answer(
    folder: Path = desk.FOLDER,
    complaint: str | None = typer.Argument(
        None, help="First digits of the complaint; left out when one is open."
    ),
    party: str = desk.AS,
    outcome: Literal["resolved", "upheld", "rejected"] = typer.Option(..., help="What came of it."),
    text: str = typer.Option(..., help="Why, in words that everybody may read."),
    as_json: bool = desk.JSON,
) -> None:
    """Answer a complaint: the member that it went to, or the oversight body.

    What an opt-out asks for is done with `concord data revoke`, or with a new record.

    Example: concord complaint answer atlas --as kenya --outcome upheld --text "It is out."
    """
    office = desk.open_office(folder)
    open_ = [digest for digest, seat in office.state.matters.items() if not seat.answered]
    found = (
        open_[0]
        if complaint is None and len(open_) == 1
        else desk.find_digest(complaint or "", open_, what="open complaint")
    )
    body = MatterAnswered(matter=found, outcome=outcome, text=text)
    desk.put(office, body, party=party, as_json=as_json)


@app.command()
def show(folder: Path = desk.FOLDER, as_json: bool = desk.JSON) -> None:
    """List all complaints, opt-outs and incidents, and which are open or overdue.

    Example: concord complaint show atlas
    """
    state, now = desk.open_archive(folder).state, desk.now()
    if as_json:
        say_json({digest: _told(seat, now) for digest, seat in state.matters.items()})
        return
    rows = [_row(digest, seat, now) for digest, seat in state.matters.items()]
    for line in columns(rows):
        say(line)
    if not rows:
        say("nobody has complained or opted out")


def _row(digest: Digest, seat: MatterSeat, now: int) -> list[str]:
    who = f"{seat.to or 'anybody'}, {moment(seat.due)}"
    return [short(digest), seat.sort, _standing(seat, now), who, seat.title]


def _told(seat: MatterSeat, now: int) -> dict[str, Any]:
    return {**seat.model_dump(mode="json"), "standing": _standing(seat, now)}


def _standing(seat: MatterSeat, now: int) -> str:
    return seat.outcome or ("overdue" if seat.late(now) else "open")


def _title(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_TITLE else f"{line[: MAX_TITLE - 1]}…"


def _letter(path: Path) -> Digest:
    try:
        return digest_file(path)
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror}", where=path) from error

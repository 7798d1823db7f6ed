"""`concord log`: what was said, in order, and under which checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from concord.base.errors import StatementRefused
from concord.cli import desk
from concord.cli.say import columns, say, say_json
from concord.ledger.entries import Entry
from concord.ledger.inbox import Inbox
from concord.ledger.sentences import author_words, moment, sentence
from concord.ledger.state.model import State

app = typer.Typer(help="The log of all signed statements.", no_args_is_help=True)


@app.command()
def show(
    folder: Path = desk.FOLDER,
    kind: str | None = typer.Option(None, help="Only this kind, such as ballot."),
    member: str | None = typer.Option(None, help="Only what this party said."),
    run: str | None = typer.Option(None, help="Only of the run of this name."),
    since: int = typer.Option(0, min=0, help="From this entry on."),
    as_json: bool = desk.JSON,
) -> None:
    """Show every statement as one sentence, checked before it is shown.

    Example: concord log show atlas --member kenya --since 20
    """
    archive = desk.open_archive(folder)
    chosen = [
        (index, entry)
        for index, entry in archive.numbered()
        if index >= since and _wanted(entry, archive.state, kind, member, run)
    ]
    if as_json:
        say_json([_entry_json(index, entry) for index, entry in chosen])
        return
    rows = [
        [
            str(index),
            moment(entry.statement.time),
            author_words(entry.statement.author),
            sentence(entry.statement),
        ]
        for index, entry in chosen
    ]
    for line in columns(rows):
        say(line)
    if not rows:
        say("no entry fits")


def _wanted(
    entry: Entry, state: State, kind: str | None, member: str | None, run: str | None
) -> bool:
    statement = entry.statement
    if kind is not None and statement.kind != kind:
        return False
    if member is not None and statement.author.party != member:
        return False
    if run is None:
        return True
    seat = state.runs.get(statement.binding.run or "")
    return seat is not None and seat.name == run


def _entry_json(index: int, entry: Entry) -> dict[str, Any]:
    statement = entry.statement
    return {
        "index": index,
        "digest": statement.digest,
        "kind": statement.kind,
        "author": statement.author.model_dump(mode="json"),
        "binding": statement.binding.model_dump(mode="json"),
        "time": statement.time,
        "sentence": sentence(statement),
        "body": statement.body.model_dump(mode="json"),
    }


@app.command()
def checkpoint(
    folder: Path = desk.FOLDER,
    note: bool = typer.Option(False, "--note", help="Print the signed note itself."),
    cosign: list[str] = typer.Option(
        [], help="Cosign it first as this member's witness; `all`: as all whose keys lie here."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Show the published checkpoint, who cosigned it, and whether they are enough.

    Example: concord log checkpoint atlas

    Example: concord log checkpoint atlas --cosign kenya --note
    """
    if cosign:
        office = desk.open_office(folder)
        office.cosign(desk.members_named(office, cosign))
    archive = desk.open_archive(folder)
    if note:
        typer.echo(archive.note.encode().decode(), nl=False)
        return
    mine, needed = archive.note.checkpoint, archive.replica.quorum_needed()
    witnesses = archive.replica.witnesses(archive.note)
    if as_json:
        say_json(
            {
                "origin": mine.origin,
                "size": mine.size,
                "root": mine.root.hex(),
                "federation": archive.state.federation,
                "state": archive.state.digest,
                "witnesses": witnesses,
                "needed": needed,
            }
        )
        return
    say(f"log         {mine.origin}")
    say(f"federation  {archive.state.federation}")
    say(f"entries     {mine.size}")
    say(f"root        {mine.root.hex()}")
    say(f"state       {archive.state.digest}")
    told = f"cosigned    {len(witnesses)} of {needed} needed: {', '.join(sorted(witnesses))}"
    say(told, style="" if len(witnesses) >= needed else "yellow")


@app.command()
def inbox(
    folder: Path = desk.FOLDER,
    take: bool = typer.Option(False, "--take", help="Put what waits into the log."),
    as_json: bool = desk.JSON,
) -> None:
    """Show statements that wait for whoever writes the log, and those that were refused.

    A run takes them up before its next round; --take does where no run is going on.

    Example: concord log inbox atlas
    """
    if take:
        filed, refused = desk.open_office(folder).take_inbox()
        if as_json:
            say_json({"filed": [desk.filed_json(one) for one in filed], "refused": dict(refused)})
            return
        for one in filed:
            say(f"entry {one.index}  {_told(one.entry)}")
        _tell_refused(refused)
        return
    box = Inbox(desk.federation_at(folder).log / "inbox")
    waiting = [(name, _read(data, name)) for name, data in box.waiting()]
    if as_json:
        say_json({"waiting": dict(waiting), "refused": dict(box.refused())})
        return
    for name, told in waiting:
        say(f"{name[:10]}  waits    {told}")
    _tell_refused(box.refused())
    if not waiting and not box.refused():
        say("nothing waits")


def _tell_refused(refused: list[tuple[str, str]]) -> None:
    for name, reason in refused:
        say(f"{name[:10]}  refused  {reason}", style="yellow")


def _read(data: bytes, name: str) -> str:
    try:
        return _told(Entry.parse(data, where=name))
    except StatementRefused as error:
        return f"no statement: {error.message}"


def _told(entry: Entry) -> str:
    return f"{author_words(entry.statement.author)} {sentence(entry.statement)}"

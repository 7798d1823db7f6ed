"""`concord log`: what was said, in order, and under which checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from concord.cli import desk
from concord.cli.say import columns, say, say_json, warn
from concord.ledger.entries import Entry
from concord.ledger.inbox import Inbox
from concord.ledger.sentences import author_words, moment, sentence, short
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
def checkpoint(folder: Path = desk.FOLDER, as_json: bool = desk.JSON) -> None:
    """Show the published checkpoint, who cosigned it, and whether they are enough.

    Example: concord log checkpoint atlas
    """
    archive = desk.open_archive(folder)
    note, needed = archive.note, archive.replica.quorum_needed()
    witnesses = archive.replica.witnesses(note)
    if as_json:
        say_json(
            {
                "origin": note.checkpoint.origin,
                "size": note.checkpoint.size,
                "root": note.checkpoint.root.hex(),
                "federation": archive.state.federation,
                "state": archive.state.digest,
                "witnesses": witnesses,
                "needed": needed,
            }
        )
        return
    say(f"log         {note.checkpoint.origin}")
    say(f"federation  {archive.state.federation}")
    say(f"entries     {note.checkpoint.size}")
    say(f"root        {note.checkpoint.root.hex()}")
    say(f"state       {archive.state.digest}")
    told = f"cosigned    {len(witnesses)} of {needed} needed: {', '.join(sorted(witnesses))}"
    say(told, style="" if len(witnesses) >= needed else "yellow")


@app.command()
def inbox(
    folder: Path = desk.FOLDER,
    take: bool = typer.Option(False, "--take", help="Put what waits into the log."),
) -> None:
    """Show statements that wait for whoever writes the log, and those that were refused.

    Example: concord log inbox atlas
    """
    federation = desk.federation_at(folder)
    if take:
        filed, refused = desk.open_office(folder).take_inbox()
        for done in filed:
            say(f"entry {done.index}  {sentence(done.entry.statement)}")
        for name, reason in refused:
            warn(f"{name[:12]}  refused: {reason}")
        return
    box = Inbox(federation.log / "inbox")
    waiting, refused = box.waiting(), box.refused()
    for name, data in waiting:
        statement = Entry.parse(data, where=name).statement
        told = f"{author_words(statement.author)} {sentence(statement)}"
        say(f"waits    {short(statement.digest)}  {told}")
    for name, reason in refused:
        say(f"refused  {name[:12]}  {reason}", style="yellow")
    if not waiting and not refused:
        say("nothing waits")

"""`concord data open` and `check-opening`: one document shown to be among those of a record."""

from __future__ import annotations

from pathlib import Path

import typer

from concord.base.canonical import canonical_json
from concord.base.errors import DocumentError
from concord.base.files import write_atomic
from concord.charter.dataset import Opening, check_document
from concord.cli import desk
from concord.cli.datasets import MEMBER, NAME
from concord.cli.records import find_statement
from concord.cli.say import say, say_json
from concord.federation.folders import FederationFolder
from concord.ledger.proof import read_document

MAX_OPENING_BYTES = 1 << 16
MAX_DOCUMENT_BYTES = 64 << 20


def register(app: typer.Typer) -> None:
    app.command("open")(open_)
    app.command("check-opening")(check_opening)


def open_(
    folder: Path = desk.FOLDER,
    name: str = NAME,
    party: str = MEMBER,
    document_id: str | None = typer.Option(None, "--id", help="The document's id in its source."),
    document: Path | None = typer.Option(
        None, help="Or a file with the document, as its author has it."
    ),
    out: Path = typer.Option(..., "--out", help="Where to write the opening."),
    text_out: Path | None = typer.Option(
        None, help="Also write the document as it was committed to; it leaves this member then."
    ),
) -> None:
    """Open one document to its author or an auditor: it is among those that the record commits to.

    Only who is given the opening and the document can check it; other documents stay closed.

    Example: concord data open atlas gazette --as kenya --document notice.txt --out opening.json
    """
    from concord.federation.datasets import dataset, open_document

    if (document_id is None) == (document is None):
        raise DocumentError("name the document", where="--id", remedy="give --id or --document")
    one = dataset(FederationFolder(folder.resolve()).member(party), name)
    text = (
        None if document is None else _read(document, MAX_DOCUMENT_BYTES).decode("utf-8", "replace")
    )
    opening, committed = open_document(one, document_id=document_id, text=text)
    write_atomic(out, canonical_json(opening.model_dump(mode="json")) + b"\n", mode=0o600)
    say(f"{out}: document {opening.index + 1:,} of {opening.size:,} in {party}/{name}")
    if text_out is not None:
        write_atomic(text_out, committed.encode(), mode=0o600)
    say(
        "give it to the author or the auditor alone: with it a guess of this document can be tested"
    )


def check_opening(
    folder: Path = desk.FOLDER,
    opening: Path = typer.Argument(..., help="From `concord data open`."),
    document: Path = typer.Option(..., help="The document as it was committed to."),
    as_json: bool = desk.JSON,
) -> None:
    """Check that a document is among those that a record in the log commits to.

    Example: concord data check-opening atlas opening.json --document notice.txt
    """
    found = read_document(_read(opening, MAX_OPENING_BYTES), Opening, where=opening)
    seat, record = find_statement(folder, found.member, found.record)
    check_document(found, record, _read(document, MAX_DOCUMENT_BYTES))
    if as_json:
        say_json({"dataset": seat.key, "record": seat.record, "index": found.index, "holds": True})
        return
    say(
        f"it holds: the document is number {found.index + 1:,} of {found.size:,} in {seat.key},"
        f" to which entry {seat.index} of the log commits"
    )


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror}", where=path) from error
    if len(data) > max_bytes:
        raise DocumentError(f"is over {max_bytes:,} bytes", where=path)
    return data

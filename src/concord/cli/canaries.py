"""`concord canaries`: show later which canaries were planted, and hold that against the log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field, ValidationError

from concord.base.canonical import parse_json
from concord.base.digest import Digest
from concord.base.errors import DocumentError, VerificationFailed
from concord.base.files import write_new
from concord.charter.document import Document
from concord.cli import desk
from concord.cli.say import say, say_json
from concord.ledger.archive import Archive
from concord.ledger.statements.rounds import Granted

app = typer.Typer(help="Canaries of a member, shown after a run.", no_args_is_help=True)
MAX_FILE_BYTES = 1 << 16


@app.command()
def disclose(
    folder: Path = desk.FOLDER,
    member: str = desk.AS,
    out: Path = typer.Option(..., "--out", help="A new file, for an auditor."),
    run: str | None = typer.Option(None, "--run", help="Run, if the folder holds several."),
) -> None:
    """Write the secret behind a member's canaries of one run, which shows all of them.

    Show it when the run is over: whoever has it can look for the canaries in what is still sent.

    Example: concord canaries disclose atlas --as kenya --out kenya.canaries
    """
    from concord.federation.member.audit_folder import AuditFolder

    federation = desk.federation_at(folder)
    document = federation.load_run(run)
    found = AuditFolder(federation.member(member), document)
    write_new(out, found.disclosure(), mode=0o600)
    say(f"{out} shows {member}'s canaries of run {document.name}")


@app.command()
def check(
    folder: Path = desk.FOLDER,
    file: Path = typer.Argument(..., help="Made by `concord canaries disclose`."),
    member: str = desk.AS,
    as_json: bool = desk.JSON,
) -> None:
    """Hold shown canaries against what the member committed to in its signed grants.

    Ends with status 10 if they are others. With --json each canary's coin is told: whether it was
    planted.

    Example: concord canaries check atlas kenya.canaries --as kenya
    """
    from concord.train.audit.canaries import coins, commitment

    shown = _read(file)
    secret, count, length = bytes.fromhex(shown.secret), shown.count, shown.length
    run: Digest = shown.run
    named = commitment(secret, run=run, count=count, length=length)
    committed = _committed(desk.open_archive(folder), run, member)
    if named not in committed:
        message = "are not the canaries that the member committed to"
        if not committed:
            message = "cannot be held against anything: the member committed to no canaries"
        raise VerificationFailed(message, where=file)
    round_, planted = committed[named], coins(secret, run=run, count=count, length=length)
    if as_json:
        say_json({"commitment": named, "round": round_ + 1, "planted": planted.tolist()})
        return
    say(f"committed to by {member} before round {round_ + 1} was trained: {named}")
    say(f"{count} canaries of {length} tokens at most; {int(planted.sum())} planted by their coins")


def _committed(archive: Archive, run: Digest, member: str) -> dict[Digest, int]:
    """Commitments of a member in a run, with the round of the first grant that names each."""
    found: dict[Digest, int] = {}
    for _, entry in archive.numbered():
        statement = entry.statement
        body, binding = statement.body, statement.binding
        is_its = (binding.run, statement.author.party) == (run, member)
        if isinstance(body, Granted) and is_its and body.canaries is not None:
            found.setdefault(body.canaries, binding.round or 0)
    return found


class _Shown(Document):
    """What a member shows; its numbers are bounded as in `privacy.toml`, since others read it."""

    secret: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    run: str
    count: Annotated[int, Field(ge=1, le=20_000)]
    length: Annotated[int, Field(ge=4, le=1024)]
    commitment: str
    """As the member wrote it down; what counts is the one that follows from the rest."""


def _read(path: Path) -> _Shown:
    data = path.read_bytes() if path.is_file() and path.stat().st_size <= MAX_FILE_BYTES else b""
    try:
        return _Shown.model_validate(parse_json(data, where=path))
    except (DocumentError, ValidationError) as error:
        raise DocumentError(
            "shows no canaries",
            where=path,
            remedy="ask for a file of `concord canaries disclose`",
        ) from error

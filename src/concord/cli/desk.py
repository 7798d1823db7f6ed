"""What commands on a federation's log share: opening it, naming parties, filing what was signed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

from concord.base.digest import Digest
from concord.base.errors import DocumentError, LogError, StatementRefused
from concord.base.files import storage_errors, write_atomic
from concord.cli.say import reading, say, say_json
from concord.cli.setting import clock, json_option
from concord.crypto.keys import PrivateKey
from concord.federation.folders import FederationFolder
from concord.federation.office import Filed, Office
from concord.ledger.archive import Archive
from concord.ledger.entries import Entry
from concord.ledger.sentences import author_words, sentence, short
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import State
from concord.ledger.state.votes import with_charters_in_force
from concord.ledger.statements.fields import Body
from concord.ledger.statements.statement import Role

FOLDER = typer.Argument(..., help="Federation folder, made by `concord init`.")
AS = typer.Option(..., "--as", help="Who speaks; its key lies in this folder.")
WITH = typer.Option([], "--with", help="Who signs too, with a key in this folder; repeatable.")
OUT = typer.Option(None, "--out", help="Write the signed statement to this file; do not file it.")
JSON = typer.Option(False, "--json", callback=json_option, help="Print JSON.")
YES = typer.Option(False, "--yes", help="Do not ask.")
ALL = "all"


def now() -> int:
    """Unix seconds."""
    return int(clock().unix_s())


def federation_at(folder: Path) -> FederationFolder:
    """A federation's folder.

    Raises:
        LogError: it holds no log.
    """
    federation = FederationFolder(folder.resolve())
    if not (federation.log / "checkpoint").is_file():
        raise LogError("holds no log", where=folder, remedy="`concord init` founds a federation")
    return federation


def open_office(folder: Path) -> Office:
    """The log for statements to be filed.

    Raises:
        LogError, StatementRefused: there is no log, or it cannot be believed.
    """
    with reading() as watch:
        return Office(federation_at(folder), clock(), watch)


def open_archive(folder: Path) -> Archive:
    """The published log, for reading.

    Raises:
        LogError, StatementRefused: there is no log, or it cannot be believed.
    """
    federation = federation_at(folder)
    with reading() as watch:
        return Archive(federation.log, ObjectLibrary(federation.objects), watch)


def state_now(archive: Archive) -> State:
    """The state at this moment: what was adopted with a delay may be in force by now."""
    return with_charters_in_force(archive.state, now(), archive.replica.library)


def role_of(state: State, party: str) -> Role:
    """In which role a party speaks.

    Raises:
        StatementRefused: it is none of this federation.
    """
    if party in state.overseers:
        return "overseer"
    if party in state.seated():
        return "member"
    raise StatementRefused(
        f"{party!r} is no party of this federation",
        where="--as",
        remedy=f"members: {', '.join(state.seated())};"
        f" overseers: {', '.join(state.overseers) or 'none'}",
    )


def members_named(office: Office, names: Sequence[str]) -> list[str]:
    """The members named; `all` stands for every member whose key lies here.

    Raises:
        StatementRefused: one is no member.
        DocumentError: `all`, and no member's key lies here.
    """
    if list(names) == [ALL]:
        found = list(office.members_here())
        if not found:
            raise DocumentError("no member's key lies here", where=office.federation.root)
        return found
    for name in names:
        office.state.member(name)
    return list(names)


def keys_of(office: Office, names: Iterable[str]) -> list[PrivateKey]:
    """Identity keys of parties that sign too."""
    return [office.keys_of(name).load("identity") for name in names]


def find_digest(prefix: str, among: Iterable[Digest], *, what: str) -> Digest:
    """The one digest that begins so.

    Args:
        prefix: Its first digits, with or without `sha256:`.
        what: What is looked for, in words.

    Raises:
        DocumentError: none begins so, or several do.
    """
    digits = prefix.removeprefix("sha256:").lower()
    known = sorted(set(among))
    found = [digest for digest in known if digits and digest[7:].startswith(digits)]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(map(short, found[:5]))
        raise DocumentError(
            f"{len(found)} {what}s begin with {prefix[:80]!r}: {several}",
            where=what,
            remedy="give more digits",
        )
    raise DocumentError(
        f"no {what} begins with {prefix[:80]!r}",
        where=what,
        remedy=f"there are: {', '.join(map(short, known[:8])) or 'none'}",
    )


def find_proposal(state: State, prefix: str | None) -> Digest:
    """A proposal by its first digits; without any, the only one that is open.

    Raises:
        DocumentError: none fits, or several.
    """
    if prefix is not None:
        return find_digest(prefix, state.proposals, what="proposal")
    found = open_proposals(state)
    if len(found) == 1:
        return found[0]
    several = f"{len(found)} proposals are open: {', '.join(map(short, found))}"
    raise DocumentError(
        several if found else "no proposal is open",
        where="proposal",
        remedy="name one by its first digits" if found else "make one: concord propose",
    )


def open_proposals(state: State) -> list[Digest]:
    """Proposals that were not decided, oldest first."""
    undecided = [d for d, seat in state.proposals.items() if seat.outcome is None]
    return sorted(undecided, key=lambda digest: (state.proposals[digest].opened, digest))


def put(
    office: Office,
    body: Body,
    *,
    party: str,
    role: Role | None = None,
    also: Iterable[PrivateKey] = (),
    out: Path | None = None,
    as_json: bool = False,
) -> Filed | None:
    """Sign a statement and file it, or write it for others to sign; tell what became of it.

    Raises:
        KeyRefused: a key is not here.
        StatementRefused: it may not stand in the log, or too few have signed.
    """
    role = role or role_of(office.state, party)
    entry = office.draft(body, party=party, role=role, also=also)
    if out is not None:
        write_draft(office, entry, out)
        return None
    return file_entry(office, entry, as_json=as_json)


def file_entry(office: Office, entry: Entry, *, as_json: bool = False) -> Filed:
    """File a signed statement, and tell what became of it.

    Raises:
        StatementRefused: it may not stand in the log, or too few have signed.
    """
    if entry.statement.author.role != "applicant":
        gathered = office.gathering(entry)
        if not gathered.complete:
            raise StatementRefused(
                gathered.words,
                where="signatures",
                remedy="name more with --with, or write it with --out and let others add theirs:"
                " concord sign",
            )
    filed = office.file(entry)
    if as_json:
        say_json(filed_json(filed))
    else:
        tell_filed(office, filed)
    return filed


def write_draft(office: Office, entry: Entry, out: Path) -> None:
    """Write a partly signed statement, and tell who still has to sign."""
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, entry.data)
    say(f"{out}: {author_words(entry.statement.author)} {sentence(entry.statement)}")
    gathered = office.gathering(entry)
    say(f"{gathered.words}; then: concord file {office.federation.root.name} {out.name}")


def filed_json(filed: Filed) -> dict[str, Any]:
    """What became of a statement, for scripts."""
    statement = filed.entry.statement
    return {
        "digest": statement.digest,
        "index": filed.index,
        "kind": statement.kind,
        "waits_at": None if filed.waits_at is None else str(filed.waits_at),
    }


def tell_filed(office: Office, filed: Filed) -> None:
    """What became of a statement, in words."""
    statement = filed.entry.statement
    told = f"{author_words(statement.author)} {sentence(statement)}"
    if filed.index is not None:
        say(f"entry {filed.index}  {short(statement.digest)}  {told}")
        return
    say(f"handed in  {short(statement.digest)}  {told}")
    say(
        f"it waits in {filed.waits_at} for whoever writes the log"
        f" ({office.state.coordinator.member}): concord log inbox",
        style="yellow",
    )

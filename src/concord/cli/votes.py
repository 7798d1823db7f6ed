"""`concord discuss`, `vote`, `tally`, `ratify`: deliberation that ends in rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import typer

from concord.base.digest import Digest
from concord.base.errors import DocumentError, StatementRefused
from concord.cli import desk
from concord.cli.say import columns, say, say_json, warn
from concord.cli.standing import standing_of, tell_standing
from concord.federation.office import Office
from concord.ledger.archive import Archive
from concord.ledger.sentences import moment, short
from concord.ledger.state.model import State
from concord.ledger.statements.votes import Amend, Ballot, Comment, Ratification

CHOICES: tuple[str, ...] = get_args(Ballot.model_fields["choice"].annotation)
PROPOSAL = "First digits of the proposal; left out when one is open."


def register(app: typer.Typer) -> None:
    for command in (discuss, vote, tally, ratify):
        app.command(command.__name__)(command)


def discuss(
    folder: Path = desk.FOLDER,
    words: list[str] = typer.Argument(None, metavar="[PROPOSAL] [TEXT]", help=PROPOSAL),
    party: str | None = typer.Option(None, "--as", help="Who comments; without it, only list."),
    reply_to: str | None = typer.Option(None, help="First digits of the comment it answers."),
    as_json: bool = desk.JSON,
) -> None:
    """Comment on a proposal with your signature, or list what was said of it.

    Example: concord discuss atlas "We need the reasons in writing." --as kenya
    """
    words = list(words or [])
    if len(words) > 2:
        raise DocumentError("write the text in quotes", where="TEXT")
    if party is None:
        if len(words) == 2 or reply_to is not None:
            raise DocumentError("say who comments", where="--as", remedy="add --as MEMBER")
        archive = desk.open_archive(folder)
        _list_comments(archive, *words, as_json=as_json)
        return
    if not words:
        raise DocumentError("say something", where="TEXT", remedy="write the text in quotes")
    office = desk.open_office(folder)
    proposal = desk.find_proposal(office.state, words[0] if len(words) == 2 else None)
    answered = None if reply_to is None else _find_comment(office, reply_to)
    body = Comment(proposal=proposal, text=words[-1], reply_to=answered)
    desk.put(office, body, party=party, as_json=as_json)


def _find_comment(office: Office, prefix: str) -> Digest:
    known = [e.statement.digest for e in office.entries if isinstance(e.statement.body, Comment)]
    return desk.find_digest(prefix, known, what="comment")


def _list_comments(archive: Archive, prefix: str | None = None, *, as_json: bool) -> None:
    proposal = desk.find_proposal(archive.state, prefix)
    found = [
        (index, entry.statement, entry.statement.body)
        for index, entry in archive.numbered()
        if isinstance(entry.statement.body, Comment) and entry.statement.body.proposal == proposal
    ]
    if as_json:
        say_json([_comment_json(index, statement, body) for index, statement, body in found])
        return
    say(f"proposal {short(proposal)}  {archive.state.proposal(proposal).title}", style="bold")
    for _, statement, body in found:
        reply = "" if body.reply_to is None else f", in answer to {short(body.reply_to)}"
        heading = f"{statement.author.party}, {moment(statement.time)}, {short(statement.digest)}"
        say(f"\n{heading}{reply}", style="dim")
        say(body.text)
    if not found:
        say("nobody has commented yet")


def _comment_json(index: int, statement: Any, body: Comment) -> dict[str, Any]:
    return {
        "author": statement.author.party,
        "digest": statement.digest,
        "index": index,
        "reply_to": body.reply_to,
        "text": body.text,
        "time": statement.time,
    }


def vote(
    folder: Path = desk.FOLDER,
    words: list[str] = typer.Argument(..., metavar="[PROPOSAL] yes|no|abstain", help=PROPOSAL),
    parties: list[str] = typer.Option(
        ..., "--as", help="Who votes; `all`: every member whose key lies here."
    ),
    reason: str = typer.Option("", help="Why; everybody can read it."),
    as_json: bool = desk.JSON,
) -> None:
    """Vote on a proposal, by name. The last ballot counts, until the vote closes.

    Example: concord vote atlas yes --as kenya --reason "It is sound."
    """
    choice = words[-1]
    if choice not in CHOICES or len(words) > 2:
        raise DocumentError(
            f"{choice[:40]!r} is no choice", where="yes|no|abstain", remedy="write it last"
        )
    office = desk.open_office(folder)
    proposal = desk.find_proposal(office.state, words[0] if len(words) == 2 else None)
    voters = office.state.voters(office.now())
    names = desk.members_named(office, parties)
    if parties == [desk.ALL]:
        names = [name for name in names if name in voters]
    filed = []
    for name in names:
        body = Ballot.model_validate({"proposal": proposal, "choice": choice, "reason": reason})
        done = office.say(body, party=name)
        filed.append(desk.filed_json(done))
        if not as_json:
            desk.tell_filed(office, done)
    if as_json:
        say_json(filed)
        return
    standing = standing_of(office.state_now, office.entries, office.library, proposal, office.now())
    say(f"as it stands: {standing.outcome}{', and final' if standing.final else ''}")


def tally(
    folder: Path = desk.FOLDER,
    proposal: str | None = typer.Argument(None, help="Its first digits; else all open ones."),
    decide: bool = typer.Option(False, "--decide", help="File what the vote came to."),
    party: str | None = typer.Option(None, "--as", help="Who files it."),
    as_json: bool = desk.JSON,
) -> None:
    """Count the votes, exactly: every sum, who is missing, which ballots do not count and why.

    A vote can be decided when it has closed, or when no missing ballot can change it.

    Example: concord tally atlas --decide --as kenya
    """
    if decide:
        if party is None:
            raise DocumentError("say who files it", where="--as", remedy="add --as PARTY")
        _decide(folder, proposal, party, as_json=as_json)
        return
    archive = desk.open_archive(folder)
    state = desk.state_now(archive)
    chosen = [desk.find_proposal(state, proposal)] if proposal else desk.open_proposals(state)
    library = archive.replica.library
    found = [standing_of(state, archive.entries, library, one, desk.now()) for one in chosen]
    if as_json:
        say_json([one.document() for one in found])
        return
    for one in found:
        tell_standing(one)
    if not found:
        say("no proposal is open")


def _decide(folder: Path, prefix: str | None, party: str, *, as_json: bool) -> None:
    office = desk.open_office(folder)
    proposal = desk.find_proposal(office.state, prefix)
    role = desk.role_of(office.state, party)
    if role == "member" and party == office.state.coordinator.member:
        role = "coordinator"
    before = standing_of(office.state_now, office.entries, office.library, proposal, office.now())
    if before.decided is None and not before.final:
        raise StatementRefused(
            "the vote is not over: missing ballots can still change it",
            where=f"proposal {short(proposal)}",
            remedy=f"it closes {moment(before.closes)}; missing: {', '.join(before.missing)}",
        )
    filed = office.decide(proposal, party=party, role=role)
    if as_json:
        say_json(desk.filed_json(filed) | {"outcome": before.outcome})
        return
    desk.tell_filed(office, filed)
    _tell_effect(office.state, proposal)


def _tell_effect(state: State, proposal: Digest) -> None:
    seat = state.proposal(proposal)
    if seat.outcome == "adopted" and isinstance(seat.change, Amend):
        say(
            f"charter {short(seat.change.charter)} is in force from {moment(seat.effective)};"
            " it binds those who ratify it: concord ratify"
        )


def ratify(
    folder: Path = desk.FOLDER,
    charter: str | None = typer.Argument(
        None, help="First digits of the charter; else the one that was adopted last."
    ),
    parties: list[str] = typer.Option(
        ..., "--as", help="Who binds itself; `all`: every member whose key lies here."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Bind a member to an adopted charter. Without it the member is in no round under it.

    Example: concord ratify atlas --as kenya
    """
    office = desk.open_office(folder)
    state = office.state_now
    chosen = _charter(state, charter)
    names = desk.members_named(office, parties)
    filed = []
    for name in names:
        if state.member(name).ratified == chosen:
            warn(f"{name} ratified charter {short(chosen)} before")
            continue
        done = office.say(Ratification(ratified=chosen), party=name)
        filed.append(desk.filed_json(done))
        if not as_json:
            desk.tell_filed(office, done)
    if as_json:
        say_json(filed)
        return
    rows = [
        [name, "bound" if seat.ratified == chosen else "not bound"]
        for name, seat in office.state.seated().items()
    ]
    for line in columns(rows, indent="  "):
        say(line)


def _charter(state: State, prefix: str | None) -> Digest:
    if prefix is not None:
        known = [state.charter, *state.coming_charters]
        return desk.find_digest(prefix, known, what="adopted charter")
    coming = sorted(state.coming_charters, key=lambda digest: state.coming_charters[digest])
    return coming[-1] if coming else state.charter

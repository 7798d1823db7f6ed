"""`concord propose`: what is put to the vote, shown exactly before it is signed."""

from __future__ import annotations

from pathlib import Path

import typer

from concord.base.digest import check_digest
from concord.base.errors import DocumentError
from concord.charter.bundle import load_bundle, store_bundle
from concord.charter.run import RunDocument
from concord.cli import desk
from concord.cli.charter import tell_change
from concord.cli.preview import (
    tell_membership,
    tell_past,
    tell_rule,
    tell_run,
    tell_run_faults,
)
from concord.cli.say import confirm, say, warn
from concord.federation.office import Office
from concord.ledger.sentences import change_words, moment, short
from concord.ledger.state.votes import rule_for
from concord.ledger.statements.fields import Body
from concord.ledger.statements.votes import (
    Admit,
    Amend,
    Change,
    Expel,
    LiftHalt,
    Ordinary,
    Proposal,
    ReleaseModel,
    StartRun,
    Suspend,
)

DAY_S = 86_400
app = typer.Typer(
    help="Put a change to the vote: shown exactly, then signed and filed.", no_args_is_help=True
)
TITLE = typer.Option(None, "--title", help="In a few words; there is a default.")
TEXT = typer.Option("", "--text", help="Reasons, for all to read.")
DAYS = typer.Option(None, "--days", min=1, max=365, help="How long ballots count; else 7.")
DRY = typer.Option(False, "--dry-run", help="Only show what it would do.")


class Desk:
    """What all kinds of proposals need.

    Args:
        folder, party, title, text, days, dry, yes, as_json: The options of every kind.
    """

    def __init__(
        self,
        folder: Path,
        party: str,
        *,
        title: str | None,
        text: str,
        days: int | None,
        dry: bool,
        yes: bool,
        as_json: bool,
    ) -> None:
        self.office: Office = desk.open_office(folder)
        desk.role_of(self.office.state, party)
        self.party = party
        self._title, self._text, self._days = title, text, days
        self._dry, self._yes, self._as_json = dry, yes, as_json

    def put(self, change: Change, title: str) -> None:
        """Show the rest, ask, sign and file.

        Raises:
            StatementRefused: the change could never take effect.
        """
        office = self.office
        body = Proposal(
            title=self._title or title,
            text=self._text,
            change=change,
            closes=office.now() + self._open_for_s(change),
        )
        say(f"\n{self.party} would propose to {change_words(change)}", style="bold")
        tell_rule(office, change)
        say(f"open until {moment(body.closes)}")
        self._check(body)
        if self._dry:
            say("nothing was signed: --dry-run")
            return
        confirm("Sign and file this proposal?", yes=self._yes)
        desk.put(office, body, party=self.party, as_json=self._as_json)

    def _open_for_s(self, change: Change) -> int:
        state, library = self.office.state_now, self.office.library
        charter = self.office.charter
        fixed_s = charter.rule[rule_for(state, change, charter, library)].open_for
        if fixed_s and self._days is not None and self._days * DAY_S != fixed_s:
            warn(f"the charter's rule keeps votes open for {fixed_s // DAY_S} days, so does this")
        return fixed_s or (self._days or 7) * DAY_S

    def _check(self, body: Body) -> None:
        """Refuse before anybody is asked what the log would refuse afterwards."""
        entry = self.office.draft(body, party=self.party, role="member")
        self.office.check(entry)


def _open(
    folder: Path,
    party: str,
    title: str | None,
    text: str,
    days: int | None,
    dry: bool,
    yes: bool,
    as_json: bool,
) -> Desk:
    return Desk(folder, party, title=title, text=text, days=days, dry=dry, yes=yes, as_json=as_json)


@app.command()
def amend(
    folder: Path = desk.FOLDER,
    party: str = desk.AS,
    title: str | None = TITLE,
    text: str = TEXT,
    days: int | None = DAYS,
    dry: bool = DRY,
    yes: bool = desk.YES,
    as_json: bool = desk.JSON,
) -> None:
    """Propose the folder `charter/` as the charter. Shown are the exact change, what it would have
    decided in past votes and rounds, and the power of each member under it.

    Example: concord propose amend atlas --as kenya --title "A higher quorum"
    """
    at = _open(folder, party, title, text, days, dry, yes, as_json)
    office = at.office
    before = office.library.bundle(office.state_now.charter)
    after = load_bundle(office.federation.charter)
    if after.digest == before.digest:
        raise DocumentError(
            "is the charter in force",
            where=office.federation.charter,
            remedy="edit charter/charter.toml or a law file first",
        )
    tell_change(before, after)
    tell_past(office, after.charter)
    tell_membership(office, after.charter)
    store_bundle(after, office.federation.objects)
    change = Amend(before=before.digest, charter=after.digest)
    at.put(change, f"Charter version {after.charter.version}")


@app.command()
def run(
    folder: Path = desk.FOLDER,
    party: str = desk.AS,
    name: str | None = typer.Option(None, "--run", help="Run, if the folder holds several."),
    title: str | None = TITLE,
    text: str = TEXT,
    days: int | None = DAYS,
    dry: bool = DRY,
    yes: bool = desk.YES,
    as_json: bool = desk.JSON,
) -> None:
    """Propose a run document, `runs/<name>.toml`. Shown is how it differs from the run before it.

    Example: concord propose run atlas --run first --as kenya
    """
    at = _open(folder, party, title, text, days, dry, yes, as_json)
    document: RunDocument = at.office.federation.load_run(name)
    tell_run(at.office, document)
    tell_run_faults(at.office, document)
    digest = at.office.library.put_run(document)
    at.put(StartRun(document=digest), f"Run {document.name}")


@app.command()
def admit(
    folder: Path = desk.FOLDER,
    member: str = typer.Argument(..., help="Who applied."),
    party: str = desk.AS,
    title: str | None = TITLE,
    text: str = TEXT,
    days: int | None = DAYS,
    dry: bool = DRY,
    yes: bool = desk.YES,
    as_json: bool = desk.JSON,
) -> None:
    """Propose to admit a member that applied. Shown is who then holds which power.

    Example: concord propose admit atlas nepal --as kenya
    """
    at = _open(folder, party, title, text, days, dry, yes, as_json)
    state = at.office.state
    found = [d for d, seat in state.applications.items() if seat.entry.id == member]
    if not found:
        raise DocumentError(
            f"{member!r} did not apply", where="MEMBER", remedy="it does so with `concord join`"
        )
    entry = state.applications[found[-1]].entry
    say(f"{entry.id}  {entry.name}", style="bold")
    say(f"legal owner {entry.legal_owner}, jurisdiction {entry.jurisdiction or 'not stated'}")
    say(f"speakers {entry.speakers:,}, population {entry.population:,}")
    tell_membership(at.office, at.office.charter, plus=entry)
    at.put(Admit(application=found[-1], member=member), f"Admit {member}")


@app.command()
def suspend(
    folder: Path = desk.FOLDER,
    member: str = typer.Argument(..., help="Who is suspended."),
    party: str = desk.AS,
    for_days: int = typer.Option(..., "--for-days", min=1, max=3650, help="From now on."),
    title: str | None = TITLE,
    text: str = TEXT,
    days: int | None = DAYS,
    dry: bool = DRY,
    yes: bool = desk.YES,
    as_json: bool = desk.JSON,
) -> None:
    """Propose that a member has no vote and is in no round for a time. Its data is never touched.

    Example: concord propose suspend atlas nepal --for-days 30 --as kenya
    """
    at = _open(folder, party, title, text, days, dry, yes, as_json)
    tell_membership(at.office, at.office.charter, minus=member)
    until = at.office.now() + for_days * DAY_S
    at.put(Suspend(member=member, until=until), f"Suspend {member}")


@app.command()
def expel(
    folder: Path = desk.FOLDER,
    member: str = typer.Argument(..., help="Who is expelled."),
    party: str = desk.AS,
    title: str | None = TITLE,
    text: str = TEXT,
    days: int | None = DAYS,
    dry: bool = DRY,
    yes: bool = desk.YES,
    as_json: bool = desk.JSON,
) -> None:
    """Propose that a member is one no more. Where the charter says so, it has no vote on itself.

    Example: concord propose expel atlas nepal --as kenya --text "Three failed audits."
    """
    at = _open(folder, party, title, text, days, dry, yes, as_json)
    tell_membership(at.office, at.office.charter, minus=member)
    at.put(Expel(member=member), f"Expel {member}")


@app.command()
def release(
    folder: Path = desk.FOLDER,
    version: str = typer.Argument(..., help="Name of the version, such as 1.0."),
    party: str = desk.AS,
    model: str | None = typer.Option(None, help="Digest of the base; else the last of the run."),
    name: str | None = typer.Option(None, "--run", help="Run, if the folder holds several."),
    title: str | None = TITLE,
    text: str = TEXT,
    days: int | None = DAYS,
    dry: bool = DRY,
    yes: bool = desk.YES,
    as_json: bool = desk.JSON,
) -> None:
    """Propose to publish a base as a version.

    Example: concord propose release atlas 1.0 --as kenya
    """
    at = _open(folder, party, title, text, days, dry, yes, as_json)
    digest = _last_base(at.office, name) if model is None else check_digest(model, where="--model")
    at.put(ReleaseModel(version=version, model=digest), f"Release {version}")


def _last_base(office: Office, name: str | None) -> str:
    runs = {seat.name: seat for seat in office.state.runs.values() if seat.base is not None}
    if name is None and len(runs) == 1:
        name = next(iter(runs))
    seat = runs.get(name or "")
    if seat is None or seat.base is None:
        raise DocumentError(
            f"runs with a base: {', '.join(runs) or 'none'}", where="--run", remedy="name one"
        )
    say(f"run {seat.name}, {seat.rounds} rounds, base {short(seat.base)}")
    return seat.base


@app.command("lift-halt")
def lift_halt(
    folder: Path = desk.FOLDER,
    halt: str | None = typer.Argument(None, help="Its first digits; else the one in force."),
    party: str = desk.AS,
    title: str | None = TITLE,
    text: str = TEXT,
    days: int | None = DAYS,
    dry: bool = DRY,
    yes: bool = desk.YES,
    as_json: bool = desk.JSON,
) -> None:
    """Propose to end a halt of all before its time. The oversight body has to agree afterwards.

    Example: concord propose lift-halt atlas --as kenya
    """
    at = _open(folder, party, title, text, days, dry, yes, as_json)
    office = at.office
    known = [d for d, seat in office.state.halts.items() if seat.scope == "all" and not seat.lifted]
    in_force = [d for d in known if office.state.halts[d].until > office.now()]
    if halt is None and len(in_force) != 1:
        raise DocumentError(
            f"halts in force: {', '.join(map(short, in_force)) or 'none'}",
            where="HALT",
            remedy="name one by its first digits",
        )
    digest = in_force[0] if halt is None else desk.find_digest(halt, known, what="halt")
    seat = office.state.halts[digest]
    say(f"halt {short(digest)} by {', '.join(seat.by)} on ground {seat.ground}: {seat.reason}")
    say(f"it ends by itself {moment(seat.until)}")
    at.put(LiftHalt(halt=digest), f"Lift the halt on ground {seat.ground}")


@app.command()
def ordinary(
    folder: Path = desk.FOLDER,
    party: str = desk.AS,
    title: str = typer.Option(..., "--title", help="What is to be resolved."),
    text: str = TEXT,
    days: int | None = DAYS,
    dry: bool = DRY,
    yes: bool = desk.YES,
    as_json: bool = desk.JSON,
) -> None:
    """Propose a resolution in words, without effect on rules or runs.

    Example: concord propose ordinary atlas --as kenya --title "Meet in Tallinn" --text "In May."
    """
    at = _open(folder, party, title, text, days, dry, yes, as_json)
    at.put(Ordinary(), title)

"""`concord release key`, `recall`, `advise`, `incident`: signing, and what comes after."""

from __future__ import annotations

from pathlib import Path

import typer

from concord.base.errors import StatementRefused
from concord.base.files import private_folder
from concord.cli import desk
from concord.cli.say import confirm, say
from concord.federation.folders import MemberFolder
from concord.ledger.statements.aftermath import Advisory, Matter, Recall, Severity

DAY_S = 86_400
RELEASE_KEY = "release.pem"
VERSION = typer.Argument(..., help="Released version.")
TITLE = typer.Option(..., "--title", help="In a few words.")
TEXT = typer.Option("", "--text", help="For all to read, for good.")


def register(app: typer.Typer) -> None:
    for name, command in (
        ("key", key),
        ("recall", recall),
        ("advise", advise),
        ("incident", incident),
    ):
        app.command(name)(command)


def release_key_of(member: MemberFolder) -> Path | None:
    """The release key, where it lies at this member."""
    path = member.private / RELEASE_KEY
    return path if path.is_file() else None


def key(
    folder: Path = desk.FOLDER,
    party: str = desk.AS,
) -> None:
    """Make the key that signs `model.sig` (EC P-256), in the member's private folder.

    It is used by `concord release build` where it lies at the coordinator.

    Example: concord release key atlas --as kenya
    """
    from concord.release.signature import new_release_key, public_pem

    office = desk.open_office(folder)
    office.state.member(party)
    path = private_folder(office.federation.member(party).private) / RELEASE_KEY
    new_release_key(path)
    say(f"{path}\n{public_pem(path).strip()}")


def recall(
    folder: Path = desk.FOLDER,
    version: str = VERSION,
    party: str = desk.AS,
    ground: str = typer.Option(..., help="Names the ground, such as personal-data."),
    reason: str = typer.Option(..., help="For all to read, for good."),
    replaced_by: str | None = typer.Option(None, help="Version to use instead."),
    also: list[str] = desk.WITH,
    out: Path | None = desk.OUT,
    yes: bool = desk.YES,
    as_json: bool = desk.JSON,
) -> None:
    """Withdraw a version: an overseer, or as many members as can halt all. Weights that are out
    cannot be called back; whoever checks the release is told.

    Example: concord release recall atlas 1.0 --as kenya --ground leak --reason "It recites names."
    """
    office = desk.open_office(folder)
    model = _released(office.state.releases, version)
    body = Recall(
        version=version, model=model, ground=ground, reason=reason, replaced_by=replaced_by
    )
    confirm(f"Withdraw version {version} for good?", yes=yes)
    keys = desk.keys_of(office, also)
    filed = desk.put(office, body, party=party, also=keys, out=out, as_json=as_json)
    if filed is not None and filed.index is not None:
        _refresh(office.federation.root, version)


def advise(
    folder: Path = desk.FOLDER,
    version: str = VERSION,
    party: str = desk.AS,
    severity: Severity = typer.Option(..., help="How grave it is."),
    title: str = TITLE,
    text: str = TEXT,
    as_json: bool = desk.JSON,
) -> None:
    """Tell users of a version what they should know; it stays in use.

    Example: concord release advise atlas 1.0 --as kenya --severity low --title "Dates are weak"
    """
    office = desk.open_office(folder)
    body = Advisory(
        version=version,
        model=_released(office.state.releases, version),
        severity=severity,
        title=title,
        text=text,
    )
    filed = desk.put(office, body, party=party, as_json=as_json)
    if filed is not None and filed.index is not None:
        _refresh(office.federation.root, version)


def incident(
    folder: Path = desk.FOLDER,
    party: str = desk.AS,
    title: str = TITLE,
    text: str = TEXT,
    version: str | None = typer.Option(None, "--version", help="Release that it is about."),
    days: int = typer.Option(15, min=1, max=31, help="Days in which it must be answered."),
    as_json: bool = desk.JSON,
) -> None:
    """Open an incident: a statement with a day by which it is answered (`complaint answer`).

    Example: concord release incident atlas --as kenya --title "A name is recited" --version 1.0
    """
    office = desk.open_office(folder)
    due = office.now() + days * DAY_S
    body = Matter(sort="incident", version=version, title=title, text=text, due=due)
    desk.put(office, body, party=party, as_json=as_json)


def _released(releases: dict[str, str], version: str) -> str:
    if version not in releases:
        raise StatementRefused(
            f"version {version!r} was not released",
            where="VERSION",
            remedy=f"released: {', '.join(releases) or 'none'}",
        )
    return releases[version]


def _refresh(federation: Path, version: str) -> None:
    """The release that lies here gets the log with the notice in it."""
    from concord.release.build import proofs_of
    from concord.release.folder import release_place
    from concord.release.ledger import write_ledger
    from concord.release.manifest import read_manifest

    release = release_place(federation, version)
    if release.manifest.is_file():
        write_ledger(
            federation, release, proofs_of(read_manifest(release.manifest), published=True)
        )
        say(f"{release.ledger} holds the notice; copies elsewhere need this folder anew")

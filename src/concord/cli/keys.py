"""`concord keys`: a party's keys, in its own folder; made, shown, exchanged, revoked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

from concord.base.errors import DocumentError, KeyRefused, StatementRefused
from concord.base.identifiers import check_identifier
from concord.cli import desk
from concord.cli.say import columns, confirm, say, say_json, warn
from concord.federation.folders import FederationFolder
from concord.federation.office import Office
from concord.ledger.keyring import MEMBER_KEYS, OVERSEER_KEYS, KeyRing
from concord.ledger.proof import trusted_keys
from concord.ledger.rotation import keys_of, settle_keys
from concord.ledger.state.model import State
from concord.ledger.statements.membership import (
    CoordinatorEntry,
    Handover,
    KeyRevocation,
    KeyRotation,
)

app = typer.Typer(help="Keys of members and overseers.", no_args_is_help=True)
Purpose = Literal["identity", "witness", "log"]
Holder = Literal["member", "overseer"]


@app.command()
def new(
    folder: Path = typer.Argument(..., help="Federation folder, or one that becomes it."),
    party: str = typer.Option(..., "--party", help="Whose keys: its id."),
    role: Holder = typer.Option("member", "--role", help="What the party is."),
    as_json: bool = desk.JSON,
) -> None:
    """Make the keys of a party that are not there yet, readable by their owner alone.

    A member has three: identity signs its statements, witness cosigns the log, log signs the log
    while the member runs the coordinator. An overseer has one.

    Example: concord keys new atlas --party kenya
    """
    check_identifier(party, where="--party")
    ring, purposes = _ring(folder, party, role)
    had = [purpose for purpose in purposes if ring.exists(purpose)]
    made = ring.create(*purposes)
    if as_json:
        say_json({purpose: key.text for purpose, key in made.items()})
        return
    rows = [
        [purpose, key.text, "was there" if purpose in had else "new"]
        for purpose, key in made.items()
    ]
    for line in columns(rows):
        say(line)
    say(f"kept in {ring.folder}; who holds these files is {party}: keep a copy off this machine")


def _ring(folder: Path, party: str, role: Holder) -> tuple[KeyRing, tuple[str, ...]]:
    federation = FederationFolder(folder.resolve())
    if role == "overseer":
        return federation.overseer_keys(party), OVERSEER_KEYS
    return federation.member(party).keys, MEMBER_KEYS


@app.command()
def show(
    folder: Path = desk.FOLDER,
    party: str | None = typer.Option(None, "--party", help="Only this party's keys."),
    as_json: bool = desk.JSON,
) -> None:
    """Show every party's public keys as the log has them, and which private ones lie here.

    With --json: what `concord prove --check` trusts. Hand it to whoever is to check your proofs.

    Example: concord keys show atlas --json
    """
    archive = desk.open_archive(folder)
    if as_json and party is None:
        say_json(trusted_keys(archive).model_dump(mode="json"))
        return
    state, federation = archive.state, FederationFolder(folder.resolve())
    names = sorted([*state.seated(), *state.overseers])
    if party is not None:
        desk.role_of(state, party)
        names = [party]
    rows = [row for name in names for row in _key_rows(state, federation, name)]
    if as_json:
        fields = ("party", "role", "purpose", "key", "here")
        say_json([dict(zip(fields, row, strict=True)) for row in rows])
        return
    for line in columns(rows):
        say(line)


def _key_rows(state: State, federation: FederationFolder, name: str) -> list[list[str]]:
    role: Holder = "overseer" if name in state.overseers else "member"
    ring = federation.overseer_keys(name) if role == "overseer" else federation.member(name).keys
    return [
        [name, role, purpose, public, _standing(state, ring, purpose, public)]
        for purpose, public in keys_of(state, name).items()
    ]


def _standing(state: State, ring: KeyRing, purpose: str, public: str) -> str:
    """Whether a key lies here, and is the one that the log holds."""
    if public in state.revoked:
        return "revoked"
    if not ring.exists(purpose):
        return "elsewhere"
    if ring.load(purpose).public.text == public:
        return "here"
    coming = f"{purpose}.next"
    if ring.exists(coming) and ring.load(coming).public.text == public:
        return "here, exchanged at its next use"
    return "here lies another"


@app.command()
def rotate(
    folder: Path = desk.FOLDER,
    party: str = desk.AS,
    purpose: Purpose = typer.Option("identity", "--purpose", help="Which key."),
    prepare: bool = typer.Option(
        False, "--prepare", help="Only make the new key and show its public half."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Put a new key in the place of an old one, by a statement that both sign.

    The files change only when the statement is in the log; a crash in between loses nothing, and
    the same command goes on.

    Example: concord keys rotate atlas --as kenya
    """
    office = desk.open_office(folder)
    role = desk.role_of(office.state, party)
    if role == "overseer" and purpose != "identity":
        raise DocumentError("an overseer has an identity key only", where="--purpose")
    ring = office.keys(role, party)
    if done := settle_keys(ring, office.logged, party):
        say(f"{party}'s {', '.join(done)} key was exchanged in the log; now its file is, too")
        return
    if prepare:
        say(ring.prepare(purpose).public.text)
        return
    if purpose == "log":
        _rotate_log(office, party, as_json=as_json)
    else:
        old, fresh = ring.load(purpose), ring.prepare(purpose)
        body = KeyRotation(purpose=purpose, old=old.public.text, new=fresh.public.text)
        desk.put(office, body, party=party, also=[old, fresh], as_json=as_json)
    settle_keys(ring, office.logged, party)
    if ring.exists(f"{purpose}.next"):
        warn("the key files change when the statement is in the log")


def _rotate_log(office: Office, party: str, *, as_json: bool) -> None:
    if party != office.state.coordinator.member:
        raise StatementRefused(
            f"{office.state.coordinator.member!r} runs the coordinator; {party!r} has no key to the"
            " log",
            where="--purpose",
            remedy="it is made anew when the role is taken: concord coordinator take",
        )
    key = office.keys_of(party).prepare("log").public.text
    body = Handover(
        manner="handover",
        term=office.state.term + 1,
        coordinator=CoordinatorEntry(member=party, log_key=key),
        reason="a new log key",
    )
    desk.put(office, body, party=party, as_json=as_json)


@app.command()
def revoke(
    folder: Path = desk.FOLDER,
    party: str = desk.AS,
    of: str | None = typer.Option(None, "--of", help="Whose key; its own if left out."),
    purpose: Literal["identity", "witness"] = typer.Option("identity", help="Which key."),
    replace: bool = typer.Option(
        False, "--replace", help="With a new key, made in the party's folder here."
    ),
    replacement: str | None = typer.Option(
        None, help="With this public key: `concord keys rotate --prepare` at the party shows it."
    ),
    cosigners: list[str] = desk.WITH,
    reason: str = typer.Option("", help="Why, in words."),
    out: Path | None = desk.OUT,
    yes: bool = desk.YES,
    as_json: bool = desk.JSON,
) -> None:
    """Say that a key counts no more: it was lost or stolen.

    A party revokes its own key alone. With a replacement, or for another party, as many members
    sign as may take over the coordinator's role.

    Example: concord keys revoke atlas --as peru --of kenya --replace --with chad --with togo
    """
    office = desk.open_office(folder)
    owner = of or party
    desk.role_of(office.state, owner)
    known = keys_of(office.state, owner)
    if purpose not in known:
        raise DocumentError("an overseer has an identity key only", where="--purpose")
    if replace:
        replacement = _prepared(office, owner, purpose)
    told = f"; {replacement} replaces it" if replacement else f"; {owner} then has none"
    say(f"{owner}'s {purpose} key {known[purpose]} is to count no more{told}")
    confirm("Sign this?", yes=yes)
    body = KeyRevocation(party=owner, key=known[purpose], replacement=replacement, reason=reason)
    also = desk.keys_of(office, desk.members_named(office, cosigners))
    desk.put(office, body, party=party, also=also, out=out, as_json=as_json)
    settle_keys(office.keys_of(owner), office.logged, owner)


def _prepared(office: Office, owner: str, purpose: str) -> str:
    ring = office.keys_of(owner)
    if not ring.folder.is_dir():
        raise KeyRefused(
            f"the folder of {owner!r} is not here",
            where=ring.folder,
            remedy="let it make a key with `concord keys rotate --prepare`, then --replacement",
        )
    return ring.prepare(purpose).public.text

"""`concord charter`: what binds the members, who holds which power, what a change changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from concord.base.errors import CharterRefused, DocumentError
from concord.charter.amend import choose_rule, difference
from concord.charter.bundle import CharterBundle, load_bundle
from concord.charter.constitution import Kind
from concord.charter.lint import LintReport, lint_charter
from concord.charter.rules import Elector
from concord.cli import desk
from concord.cli.power import lint_json, tell_lint, tell_power
from concord.cli.say import columns, say, say_diff, say_json
from concord.federation.folders import FederationFolder
from concord.ledger.archive import Archive
from concord.ledger.sentences import moment, short
from concord.ledger.state.model import State
from concord.ledger.state.votes import electors

app = typer.Typer(help="The charter: in force, and as it is worked on.", no_args_is_help=True)
IN_FORCE = typer.Option(False, "--in-force", help="The charter in force, not the folder's.")


@app.command()
def show(
    folder: Path = desk.FOLDER,
    digest: str | None = typer.Option(None, help="First digits of another charter in the log."),
    as_json: bool = desk.JSON,
) -> None:
    """Show the charter in force: its rules, what decides what, and whom it binds.

    Example: concord charter show atlas
    """
    archive = desk.open_archive(folder)
    state = desk.state_now(archive)
    chosen = state.charter if digest is None else _find(archive, digest)
    bundle = archive.replica.library.bundle(chosen)
    if as_json:
        say_json(
            {
                "digest": chosen,
                "in_force": chosen == state.charter,
                "coming": state.coming_charters,
                "ratified_by": _ratified(state, chosen),
                "files": {path: len(data) for path, data in bundle.files.items()},
                "charter": bundle.charter.model_dump(mode="json", by_alias=True),
            }
        )
        return
    _tell_charter(bundle, state)


def _find(archive: Archive, prefix: str) -> str:
    named = [d for entry in archive.entries for d in _charters(entry.statement.subjects())]
    return desk.find_digest(prefix, named, what="charter")


def _charters(subjects: dict[str, str]) -> list[str]:
    return [digest for name, digest in subjects.items() if name in ("charter", "charter-before")]


def _ratified(state: State, digest: str) -> list[str]:
    return [name for name, seat in state.seated().items() if seat.ratified == digest]


def _tell_charter(bundle: CharterBundle, state: State) -> None:
    charter, digest = bundle.charter, bundle.digest
    standing = "in force" if digest == state.charter else "not in force"
    say(f"{charter.name}, version {charter.version}  {short(digest)}  {standing}", style="bold")
    for coming, at in sorted(state.coming_charters.items(), key=lambda item: item[1]):
        say(f"charter {short(coming)} comes into force {moment(at)}", style="yellow")
    bound = _ratified(state, digest)
    unbound = [name for name in state.seated() if name not in bound]
    say(f"binds {', '.join(bound) or 'nobody'}")
    if unbound:
        say(f"not ratified by {', '.join(unbound)}", style="yellow")
    say("\nrules", style="bold")
    for name, rule in charter.rule.items():
        keys = "; and ".join(key.title for key in rule.all)
        used = [str(kind) for kind in charter.uses if charter.uses[kind] == name]
        for_ = f"decides about {', '.join(used)}" if used else "decides where the charter names it"
        quorum = f"; quorum {rule.quorum}" if rule.quorum else ""
        say(f"  {name}: {keys}{quorum}; {for_}")
    entrenched = ", ".join(charter.entrenched.paths) or "nothing besides itself"
    say(f"  only rule {charter.entrenched.rule} may change: {entrenched}")
    say("\nfiles", style="bold")
    for line in columns([[path, f"{len(data):,} bytes"] for path, data in bundle.files.items()]):
        say(f"  {line}")


@app.command()
def lint(
    folder: Path = desk.FOLDER,
    without: list[str] = typer.Option(
        [], "--without", help="Judge as if this member had left; repeatable."
    ),
    in_force: bool = IN_FORCE,
    as_json: bool = desk.JSON,
) -> None:
    """Show who can pass, block, or never change a decision, rule by rule, among the members.

    Power is Banzhaf's: the share of the coalitions that win only with that member.
    Exit status 2 if the charter gives one member too much power, or another none.

    Example: concord charter lint atlas --without kenya
    """
    archive = desk.open_archive(folder)
    state = desk.state_now(archive)
    bundle = _chosen(archive, folder, in_force=in_force)
    voters = _voters(state, without)
    report = lint_charter(bundle.charter, voters)
    if as_json:
        say_json(lint_json(report))
    else:
        say(f"{len(voters)} members vote: {', '.join(one.id for one in voters)}")
        for name, power in report.power.items():
            tell_power(name, bundle.charter.rule[name], power)
        tell_lint(report)
    _refuse(report, folder)


def _chosen(archive: Archive, folder: Path, *, in_force: bool) -> CharterBundle:
    if in_force:
        return archive.replica.library.bundle(desk.state_now(archive).charter)
    return load_bundle(FederationFolder(folder.resolve()).charter)


def _voters(state: State, without: list[str]) -> tuple[Elector, ...]:
    voters = state.voters(desk.now())
    for name in without:
        if voters.pop(name, None) is None:
            raise DocumentError(
                f"{name!r} has no vote",
                where="--without",
                remedy=f"name one of {', '.join(voters)}",
            )
    return electors(voters)


def _refuse(report: LintReport, folder: Path) -> None:
    if report.errors:
        raise CharterRefused(
            report.errors[0], where=folder, remedy="change that rule: docs/charter.md"
        )


@app.command()
def diff(folder: Path = desk.FOLDER, as_json: bool = desk.JSON) -> None:
    """Show what the folder `charter/` changes against the charter in force, and who decides on it.

    Example: concord charter diff atlas
    """
    archive = desk.open_archive(folder)
    state = desk.state_now(archive)
    before = archive.replica.library.bundle(state.charter)
    after = load_bundle(FederationFolder(folder.resolve()).charter)
    change = difference(before, after)
    rule = choose_rule(before.charter, Kind.AMEND, changed=change.paths, flop=int(state.flops))
    if as_json:
        value: dict[str, Any] = {
            "before": before.digest,
            "after": after.digest,
            "fields": [vars(field) for field in change.fields],
            "files": {one.path: one.diff for one in change.files},
            "entrenched": list(change.entrenched),
            "rule": rule,
        }
        say_json(value)
        return
    if not change.paths:
        say(f"charter/ is the charter in force, {short(before.digest)}")
        return
    tell_change(before, after)
    say(f"decided by rule {rule}; propose it: concord propose amend {folder}")


def tell_change(before: CharterBundle, after: CharterBundle) -> None:
    """Print the exact difference of two charters."""
    change = difference(before, after)
    for one in change.files:
        say_diff(one.diff)
    if change.fields:
        say("\nwhat it means", style="bold")
    for field in change.fields:
        say(f"  {field.path}: {field.old or 'nothing'} -> {field.new or 'nothing'}")
    if change.entrenched:
        say(f"entrenched: {', '.join(change.entrenched)}", style="yellow")


@app.command()
def check(folder: Path = desk.FOLDER, as_json: bool = desk.JSON) -> None:
    """Check the folder `charter/` as a vote would: files, fields, Cedar rules, power, caps.

    Example: concord charter check atlas
    """
    archive = desk.open_archive(folder)
    bundle = load_bundle(FederationFolder(folder.resolve()).charter)
    report = lint_charter(bundle.charter, electors(desk.state_now(archive).voters(desk.now())))
    _refuse(report, folder / "charter")
    if as_json:
        say_json({"digest": bundle.digest, "warnings": list(report.warnings)})
        return
    say(f"charter {short(bundle.digest)} can be proposed: {len(bundle.files)} files,")
    say(f"{len(bundle.charter.rule)} voting rules, {len(bundle.rules)} Cedar rules")
    tell_lint(report)

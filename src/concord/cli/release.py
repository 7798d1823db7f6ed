"""`concord release`: build, publish and verify what the members give to all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from concord.base.digest import check_digest, digest_bytes
from concord.base.errors import (
    DocumentError,
    KeyRefused,
    ModelError,
    TokenizerError,
    VerificationFailed,
)
from concord.base.files import storage_errors
from concord.cli import aftermath, desk
from concord.cli.aftermath import release_key_of
from concord.cli.say import columns, say, say_json, warn
from concord.cli.setting import clock

if TYPE_CHECKING:
    from concord.federation.folders import FederationFolder
    from concord.federation.office import Filed, Office
    from concord.ledger.statements.evidence import Release
    from concord.release.build import Candidate, Exporter
    from concord.release.folder import ReleaseFolder
    from concord.release.gguf import Kind
    from concord.release.manifest import Manifest
    from concord.release.verify import ReleaseFindings

app = typer.Typer(help="Build, publish and verify releases.", no_args_is_help=True)
aftermath.register(app)
RELEASE = typer.Argument(..., help="Folder of a release.")
PIN = (
    "Who these parties are, the log says itself. Compare the federation's digest with one that you"
    " have from a member by another way; then give it: --federation"
)


@app.command()
def build(
    folder: Path = desk.FOLDER,
    version: str = typer.Option(..., "--version", help="Name of the version, such as 1.0."),
    name: str | None = typer.Option(None, "--run", help="Run, if the folder holds several."),
    out: Path | None = typer.Option(None, "--out", help="Folder; else <federation>/releases/."),
    gguf: list[str] = typer.Option(
        ["f16", "q8_0", "q4_0"], "--gguf", help="GGUF files to add; repeatable; none: no file."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Make a release from the last base of a run: a candidate until it is published.

    Example: concord release build atlas --version 1.0
    """
    from concord.release.folder import ReleaseFolder, release_place

    federation = desk.federation_at(folder)
    place = release_place(federation.root, version)
    release = place if out is None else ReleaseFolder(out.absolute())
    manifest = make_release(federation, release, version, name=name, gguf=gguf)
    if as_json:
        say_json({"folder": str(release.root), "manifest": digest_bytes(manifest.data)})
        return
    total = sum(entry.bytes for entry in manifest.files.values())
    say(f"{release.root}: {len(manifest.files)} files, {total / 1e6:,.1f} MB")
    if manifest.decision is None:
        say(
            "a candidate: the members have not decided yet"
            f" (concord propose release {folder} {version})",
            style="yellow",
        )
    else:
        say(f"to publish it: concord release publish {folder} {version}")


def make_release(
    federation: FederationFolder,
    release: ReleaseFolder,
    version: str,
    *,
    name: str | None,
    gguf: Sequence[str],
) -> Manifest:
    """Build a release of the last base of a run.

    Raises:
        DocumentError: see `build_release`.
    """
    from concord.federation.records import RunFolder
    from concord.federation.workers import export_in_worker
    from concord.release.build import build_release, candidate
    from concord.release.papers.render import records, render, write_papers
    from concord.release.papers.sections import sections_of
    from concord.release.plain_chat import write_plain_template
    from concord.release.signature import public_pem, sign_release

    archive = desk.open_archive(federation.root)
    made_of = candidate(archive, federation.objects, run=name, version=version, now=desk.now())
    run = made_of.library.run(made_of.document)

    def model(path: Path) -> None:
        export_in_worker(RunFolder(federation.root, run.name), run, path)

    def papers(path: Path) -> None:
        sections = sections_of(made_of)
        with storage_errors(path):
            write_papers(path, render(sections) | records(sections, made_of.objects))

    key = release_key_of(federation.member(archive.state.coordinator.member))
    return build_release(
        made_of,
        federation.root,
        release,
        exporters=[model, write_plain_template, papers, *_gguf_exporters(gguf, made_of)],
        release_key=None if key is None else public_pem(key),
        sign=None if key is None else lambda one: sign_release(one, key),
    )


def publish_release(office: Office, release: ReleaseFolder, version: str) -> Filed:
    """Say in the log that a release is published, and put that log into it.

    Where the log says so already, as after a call that was killed, only the release gets that log.

    Raises:
        VerificationFailed: what was built does not hold.
        DocumentError: it was built before the decision, or before the last evidence.
        StatementRefused: a gate is in the way.
        KeyRefused: the coordinator's keys are not here.
    """
    from concord.release.build import proofs_of
    from concord.release.ledger import write_ledger
    from concord.release.manifest import read_manifest
    from concord.release.verify import verify_release

    manifest = read_manifest(release.manifest)
    if manifest.version != version:
        raise DocumentError(f"holds version {manifest.version}", where=release.root)
    body = _publication(manifest, release)
    filed = _filed_before(office, body)
    if filed is None:
        verify_release(release.root, clock=clock(), candidate=True)
        _check_fresh(office, manifest)
        filed = office.say(body, party=office.state.coordinator.member, role="coordinator")
    if filed.index is None:
        raise KeyRefused(
            "the statement waits to be filed: the log's key is at"
            f" {office.state.coordinator.member!r}, not here, or another process writes the log",
            where=office.federation.log,
            remedy="once it is in the log, give the same command where the release lies",
        )
    write_ledger(office.federation.root, release, proofs_of(manifest, published=True))
    verify_release(release.root, clock=clock())
    return filed


def _publication(manifest: Manifest, release: ReleaseFolder) -> Release:
    from concord.ledger.statements.evidence import Release

    if manifest.decision is None:
        raise DocumentError(
            "was built before the members decided",
            where=release.root,
            remedy="once they did: concord release build",
        )
    return Release(
        version=manifest.version,
        model=manifest.model,
        manifest=digest_bytes(manifest.data),
        decision=manifest.decision,
    )


def _filed_before(office: Office, body: Release) -> Filed | None:
    from concord.federation.office import Filed

    for index, entry in enumerate(office.entries):
        if entry.statement.body == body:
            return Filed(entry, index)
    return None


def _gguf_exporters(kinds: Sequence[str], made_of: Candidate) -> list[Exporter]:
    """Writers of the GGUF files; where a network cannot be one, that is said, and none is written.

    Raises:
        DocumentError: a kind is unknown.
    """
    if "none" in kinds:
        return []
    from concord.release.folder import ReleaseFolder
    from concord.release.gguf import Origin, export_gguf, kind_named

    run = made_of.library.run(made_of.document)
    origin = Origin(
        name=f"{made_of.state.name} {made_of.version}",
        licence=run.use.model_licence,
        facts={"federation": str(made_of.state.federation), "base": made_of.model},
    )

    def exporter(kind: Kind) -> Exporter:
        def export(path: Path) -> None:
            target = (
                ReleaseFolder(path).gguf / f"{made_of.state.name}-{made_of.version}-{kind}.gguf"
            )
            target.parent.mkdir(exist_ok=True)
            try:
                export_gguf(path, target, kind, origin=origin)
            except (ModelError, TokenizerError) as error:
                warn(f"no {target.name}: {error.message}")
                with suppress(OSError):
                    target.parent.rmdir()

        return export

    return [exporter(kind_named(kind)) for kind in kinds]


@app.command()
def publish(
    folder: Path = desk.FOLDER,
    version: str = typer.Argument(..., help="Version that was built."),
    out: Path | None = typer.Option(None, "--out", help="Where it was built, if not the default."),
    as_json: bool = desk.JSON,
) -> None:
    """Say in the log that a release is published; the coordinator's key must lie here.

    Example: concord release publish atlas 1.0
    """
    from concord.release.folder import ReleaseFolder, release_place

    office = desk.open_office(folder)
    place = release_place(office.federation.root, version)
    release = place if out is None else ReleaseFolder(out.absolute())
    filed = publish_release(office, release, version)
    if as_json:
        say_json(desk.filed_json(filed))
        return
    desk.tell_filed(office, filed)
    say(
        f"to check it: concord release verify {release.root} --federation {office.state.federation}"
    )


def _check_fresh(office: Office, manifest: Manifest) -> None:
    """Refuse to publish what lacks evidence that came after it was built."""
    from concord.release.gate_files import given_evidence

    charter = office.library.charter(manifest.charter)
    paths = {
        one.path: one.body.evidence
        for one in given_evidence(office, charter, manifest.model, until=office.now())
    }
    there = {
        path: f"sha256:{entry.sha256}"
        for path, entry in manifest.files.items()
        if path.startswith("gates/")
    }
    if paths != there:
        raise DocumentError(
            "was built before the last evidence came into the log",
            where=f"version {manifest.version}",
            remedy="build it again: concord release build",
        )


@app.command()
def verify(
    folder: Path = RELEASE,
    federation: str | None = typer.Option(
        None, help="Digest of the federation that it must be, as you have it from elsewhere."
    ),
    candidate: bool = typer.Option(False, "--candidate", help="Accept what is not published yet."),
    partial: bool = typer.Option(False, "--partial", help="Accept that only a part was fetched."),
    log: Path | None = typer.Option(
        None, "--log", help="A younger copy of the federation: withdrawals may stand there."
    ),
    withdrawn_too: bool = typer.Option(
        False, "--withdrawn-too", help="Only say so if it was withdrawn."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Check a release: files, log, decision, weights, gates, signature. Needs no network.

    Ends with exit status 10 at the first thing that is wrong.

    Example: concord release verify atlas/releases/1.0
    """
    from concord.release.folder import ReleaseFolder
    from concord.release.verify import ReleaseFindings, verify_release

    wanted = None if federation is None else check_digest(federation, where="--federation")
    found = ReleaseFindings(ReleaseFolder(folder))
    try:
        verify_release(
            folder,
            clock=clock(),
            federation=wanted,
            candidate=candidate,
            partial=partial,
            newer=None if log is None else desk.open_archive(log),
            withdrawn_too=withdrawn_too,
            findings=found,
        )
    except VerificationFailed as error:
        _show(found, error, as_json=as_json)
        raise
    _show(found, None, as_json=as_json)


def _show(found: ReleaseFindings, error: VerificationFailed | None, *, as_json: bool) -> None:
    if as_json:
        say_json(_as_json(found, error))
        return
    rows = [
        ["ok" if one.passed else "WRONG", f"{one.number} {one.name}", f"{one.seconds:.1f} s",
         one.found]
        for one in found.steps
    ]  # fmt: skip
    for line in columns(rows):
        say(line)
    for notice in found.notices:
        say(notice, style="bold red" if notice.startswith("WITHDRAWN") else "yellow")
    manifest = found.manifest
    if error is not None or manifest is None:
        return
    built = datetime.fromtimestamp(manifest.built, UTC)
    say(f"\nversion     {manifest.version} of {manifest.name}, built {built:%Y-%m-%d %H:%M} UTC")
    say(f"model       {manifest.model}, {manifest.rounds} rounds of run {manifest.run_name}")
    say(f"licence     {manifest.licence}")
    say(f"\n{PIN} {manifest.federation}")


def _as_json(found: ReleaseFindings, error: VerificationFailed | None) -> dict[str, Any]:
    manifest = found.manifest
    return {
        "ok": error is None,
        "error": None if error is None else {"where": error.where, "message": error.message},
        "published": found.published,
        "gates": {one.gate.id: one.status for one in found.gates},
        "notices": list(found.notices),
        "steps": [vars(one) for one in found.steps],
        "manifest": None if manifest is None else manifest.model_dump(mode="json"),
    }

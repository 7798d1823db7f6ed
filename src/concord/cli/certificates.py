"""`concord sovereign check` and `verify`: what a build kept of what was agreed, and who says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from concord.base.errors import DocumentError, KeyRefused
from concord.cli.checked import checked_model
from concord.cli.desk import JSON, now, open_archive, state_now
from concord.cli.say import columns, say, say_json, warn
from concord.cli.setting import clock
from concord.crypto.keys import PrivateKey, PublicKey

if TYPE_CHECKING:
    from concord.release.sovereign.certificate import Certificate, GateResult
    from concord.release.sovereign.record import SovereignRecord

NOBODY = "nobody"
"""Who runs gates where no member is named: those that read a member's text are not run then."""


def register(app: typer.Typer) -> None:
    app.command("check")(check)
    app.command("verify")(verify)


def check(
    model: Path = typer.Argument(..., help="A sovereign build."),
    release: Path = typer.Argument(..., help="The release that it was made from."),
    federation: Path | None = typer.Option(
        None, help="Your folder of the federation: gates on your own text need it."
    ),
    member: str | None = typer.Option(None, "--as", help="The member that you are."),
    pairs: list[str] = typer.Option(
        [], "--pairs", help="File of pairs as `bias-pairs=FILE`; else the member's own."
    ),
    key: Path | None = typer.Option(None, help="Your private key: signs the certificate."),
    out: Path | None = typer.Option(
        None, help="The certificate; else certificate.json in the folder of the build."
    ),
    as_json: bool = JSON,
) -> None:
    """Run the gates of the charter on your own build, and write a certificate of what they found.

    Ends with exit status 1 if a gate failed or could not be run. The build is yours all the same.

    Example: concord sovereign check mine atlas/releases/1.0 --federation atlas --as kenya
    """
    from concord.base.files import write_atomic
    from concord.crypto.keyfiles import load_key
    from concord.release.sovereign.certificate import NAME

    signer = None if key is None else load_key(key)
    place = model / NAME if out is None else out
    found = _certificate(model, release, federation, member, pairs, signer=signer, out=place)
    write_atomic(place, found.encode(signer))
    if as_json:
        say_json(found.model_dump(mode="json"))
    else:
        _show(found)
        say(f"\n{place}: {'signed' if signer else 'not signed'}")
    _end(found)


def verify(
    model: Path = typer.Argument(..., help="A sovereign build, as you got it."),
    release: Path = typer.Argument(
        ..., help="The release that it names as its base; its papers alone will do."
    ),
    certificate: Path | None = typer.Option(
        None, "--certificate", help="Else certificate.json in the folder of the build."
    ),
    key: str | None = typer.Option(
        None, help="Public key of the maker, where it is no member: `ed25519:` and 64 digits."
    ),
    log: Path | None = typer.Option(
        None, "--log", help="A younger copy of the federation: keys may have changed since."
    ),
    withdrawn_too: bool = typer.Option(
        False, "--withdrawn-too", help="Only say so if the base was withdrawn."
    ),
    as_json: bool = JSON,
) -> None:
    """Check a build that somebody else made, with its certificate. Needs no network and no torch.

    Ends with exit status 10 at the first thing that is wrong; with 1 if all of it is true, and
    a gate failed or was not run.

    Example: concord sovereign verify mine atlas-1.0
    """
    from concord.release.sovereign.certificate import NAME
    from concord.release.sovereign.verify import verify_build

    found = verify_build(
        model,
        release,
        model / NAME if certificate is None else certificate,
        clock=clock(),
        key=None if key is None else PublicKey.parse(key),
        newer=None if log is None else open_archive(log),
        withdrawn_too=withdrawn_too,
    )
    if as_json:
        said = None if found.certificate is None else found.certificate.model_dump(mode="json")
        say_json({"steps": dict(found.steps), "notices": found.notices, "certificate": said})
    else:
        for line in columns([["ok", name, what] for name, what in found.steps]):
            say(line)
        for notice in found.notices:
            warn(notice)
    if found.certificate is not None:
        if not as_json:
            say("")
            _show(found.certificate)
        _end(found.certificate)


def _certificate(
    model: Path,
    release: Path,
    federation: Path | None,
    member: str | None,
    pairs: list[str],
    *,
    signer: PrivateKey | None,
    out: Path,
) -> Certificate:
    from concord.cli.release_gates import pair_files
    from concord.federation.folders import FederationFolder
    from concord.release.folder import ReleaseFolder
    from concord.release.gates.run import Runner
    from concord.release.ledger import open_ledger
    from concord.release.manifest import read_manifest
    from concord.release.sovereign.certificate import Certificate, files_of
    from concord.release.sovereign.check import SovereignBench, check_identity, run_gates

    base = checked_model(release, unverified=False)
    manifest = read_manifest(ReleaseFolder(base).manifest)
    record = check_identity(model, base)
    archive = open_ledger(ReleaseFolder(base)) if federation is None else open_archive(federation)
    library, state = archive.replica.library, state_now(archive)
    if state.federation != manifest.federation:
        raise DocumentError("is another federation's", where=federation)
    if member is not None:
        _check_signer(member, state.member(member).entry.key, signer)
    bench = SovereignBench(
        FederationFolder((base if federation is None else federation).resolve()),
        library.run(manifest.run),
        record.weights,
        state,
        model,
        base,
    )
    runner = Runner(bench, clock(), pair_files(pairs))
    return Certificate(
        issuer=member,
        federation=manifest.federation,
        charter=state.charter,
        at=now(),
        record=record,
        files=files_of(model, [out]),
        gates=tuple(run_gates(runner, library.charter(state.charter).gate, member or NOBODY)),
    )


def _check_signer(member: str, public: str, signer: PrivateKey | None) -> None:
    """Refuse to sign as a member what nobody would believe to be its word."""
    if signer is not None and signer.public.text != public:
        raise KeyRefused(
            f"is not the key that the log has of {member}",
            where="--key",
            remedy="give private/keys/identity.pem of the member's folder",
        )


def _show(found: Certificate) -> None:
    show_record(found.record)
    rows = [[one.gate, one.result, _numbers(one), one.limit] for one in found.gates]
    for line in columns([["gate", "", "found", "limit"], *rows] if rows else []):
        say(line)


def _end(found: Certificate) -> None:
    if any(one.result in ("failed", "not run") for one in found.gates):
        raise typer.Exit(1)


def _numbers(one: GateResult) -> str:
    return one.why or ", ".join(f"{name} {value:g}" for name, value in one.measured.items())


def show_record(record: SovereignRecord) -> None:
    """How a build was made, and what it gained and lost."""
    plan = record.plan
    how = "all weights" if plan.lora_rank is None else f"adapters of rank {plan.lora_rank}"
    say(f"{record.tokens:,} tokens in {plan.steps:,} steps, {how}; the tokenizer is the base's")
    rows = [["bits per byte", "base", "build", ""]]
    for name, one in record.measured.items():
        word = "gained" if one.change < 0 else "lost"
        rows.append(
            [name, f"{one.base_bpb:.3f}", f"{one.build_bpb:.3f}", f"{word} {abs(one.change):.1%}"]
        )
    for line in columns(rows):
        say(line)

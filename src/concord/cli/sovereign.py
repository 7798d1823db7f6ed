"""`concord sovereign`: a member's own model from a shared one, made and checked at home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from concord.base.canonical import canonical_json
from concord.base.digest import Digest, digest_file
from concord.base.errors import DocumentError
from concord.cli.checked import UNVERIFIED, checked_model
from concord.cli.desk import JSON, now, open_archive, state_now
from concord.cli.say import columns, say, say_json
from concord.cli.setting import clock
from concord.crypto.dsse import sign_envelope

if TYPE_CHECKING:
    from concord.charter.run_sections import ComparisonSpec, InnerSpec
    from concord.release.sovereign.check import Certificate, GateResult
    from concord.release.sovereign.record import SovereignRecord

NOBODY = "nobody"
"""Who runs gates where no member is named: those that read a member's text are not run then."""
app = typer.Typer(help="Your own model from a shared one, at home.", no_args_is_help=True)


@app.command()
def build(
    model: Path = typer.Argument(
        ..., help="Release, model folder, or a federation whose model it is."
    ),
    text: list[Path] = typer.Option(..., help="Files or folders of your text; repeatable."),
    out: Path = typer.Option(..., help="Folder to make."),
    heldout: list[Path] = typer.Option(
        [], help="Text that is only measured on; else 5 % of your documents. Repeatable."
    ),
    text_key: str = typer.Option("text", help="Key or column that holds the text."),
    parallel: Path | None = typer.Option(
        None, help="Folder of a parallel set: what other languages lose is measured on it."
    ),
    languages: list[str] = typer.Option(
        [], "--language", help="Language of the parallel set; all if none is named."
    ),
    full: bool = typer.Option(False, "--full", help="Train all weights; so it is without --lora."),
    lora: int | None = typer.Option(
        None, min=1, max=4096, help="Train adapters of this rank in place of all weights."
    ),
    tokens: int | None = typer.Option(
        None, min=1, help="Tokens to train on; else one pass over the text."
    ),
    context: int | None = typer.Option(None, min=8, help="Tokens of a sample."),
    lr: float | None = typer.Option(None, min=1e-9, max=1.0, help="AdamW's peak rate."),
    matrix_lr: float | None = typer.Option(None, min=1e-9, max=1.0, help="Muon's peak rate."),
    seed: int = typer.Option(0, min=0, help="Of the order of samples and of the held-out split."),
    save_every: int = typer.Option(50, min=1, help="Steps after which the state is kept."),
    unverified: bool = UNVERIFIED,
    as_json: bool = JSON,
) -> None:
    """Train a shared model on with your own text. Nothing leaves this machine.

    A build that was killed goes on when the command is given again.

    Example: concord sovereign build atlas/releases/1.0 --text mine.jsonl --out mine
    """
    if full and lora is not None:
        raise DocumentError("exclude each other", where="--full, --lora", remedy="give one")
    folder = checked_model(model, unverified=unverified)
    from concord.release.sovereign.build import Wish, build_sovereign

    inner, comparison, manifest, version = _made_with(folder)
    wish = Wish(
        text=tuple(text),
        heldout=tuple(heldout),
        text_key=text_key,
        parallel=parallel,
        languages=tuple(languages),
        tokens=tokens,
        context=context,
        lora_rank=lora,
        lr=lr,
        matrix_lr=matrix_lr,
        inner=inner,
        comparison=comparison,
        seed=seed,
    )
    console = Console(stderr=True)
    parts = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*parts, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        record = build_sovereign(
            folder,
            wish,
            out.absolute(),
            manifest=manifest,
            version=version,
            save_every_steps=save_every,
            on_step=lambda done, steps: bar.update(task, completed=done, total=steps),
        )
    if as_json:
        say_json(record.model_dump(mode="json"))
        return
    _show(record)
    say(f"\nmodel {out}: concord chat {out}")


@app.command()
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
    from concord.release.sovereign.check import PAYLOAD_TYPE

    signer = None if key is None else load_key(key)
    found = _certificate(model, release, federation, member, pairs)
    data = canonical_json(found.model_dump(mode="json"))
    if signer is not None:
        data = sign_envelope(data, PAYLOAD_TYPE, [signer]).encode()
    place = model / "certificate.json" if out is None else out
    write_atomic(place, data + b"\n")
    if as_json:
        say_json(found.model_dump(mode="json"))
    else:
        _show(found.record)
        rows = [[one.gate, one.result, _numbers(one), one.limit] for one in found.gates]
        for line in columns([["gate", "", "found", "limit"], *rows] if rows else []):
            say(line)
        say(f"\n{place}: {'signed' if signer else 'not signed'}")
    if any(one.result in ("failed", "not run") for one in found.gates):
        raise typer.Exit(1)


def _certificate(
    model: Path, release: Path, federation: Path | None, member: str | None, pairs: list[str]
) -> Certificate:
    from concord.cli.release_gates import pair_files
    from concord.federation.folders import FederationFolder
    from concord.release.folder import ReleaseFolder
    from concord.release.gates.run import Runner
    from concord.release.ledger import open_ledger
    from concord.release.manifest import read_manifest
    from concord.release.sovereign.check import (
        Certificate,
        SovereignBench,
        check_identity,
        run_gates,
    )

    base = checked_model(release, unverified=False)
    manifest = read_manifest(ReleaseFolder(base).manifest)
    record = check_identity(model, base)
    archive = open_ledger(ReleaseFolder(base)) if federation is None else open_archive(federation)
    library, state = archive.replica.library, state_now(archive)
    if state.federation != manifest.federation:
        raise DocumentError("is another federation's", where=federation)
    if member is not None:
        state.member(member)
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
        gates=tuple(run_gates(runner, library.charter(state.charter).gate, member or NOBODY)),
    )


def _numbers(one: GateResult) -> str:
    return one.why or ", ".join(f"{name} {value:g}" for name, value in one.measured.items())


def _made_with(folder: Path) -> tuple[InnerSpec, ComparisonSpec, Digest | None, str]:
    """How the base was trained, if its release tells; else a run's usual inner loop."""
    from concord.base.canonical import parse_json
    from concord.base.objects import ObjectStore
    from concord.charter.run import parse_run
    from concord.charter.run_sections import ComparisonSpec, InnerSpec
    from concord.release.folder import ReleaseFolder
    from concord.release.manifest import read_manifest

    release = ReleaseFolder(folder)
    if not release.manifest.is_file():
        return InnerSpec(), ComparisonSpec(), None, ""
    manifest = read_manifest(release.manifest)
    run = parse_run(parse_json(ObjectStore(release.objects).get(manifest.run)))
    return run.inner, run.comparison, digest_file(release.manifest), manifest.version


def _show(record: SovereignRecord) -> None:
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

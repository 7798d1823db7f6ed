"""`concord sovereign`: a member's own model from a shared one, made and checked at home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from concord.base.digest import Digest, digest_file
from concord.base.errors import DocumentError
from concord.cli import certificates
from concord.cli.certificates import show_record
from concord.cli.checked import UNVERIFIED, checked_model
from concord.cli.desk import JSON
from concord.cli.say import say, say_json

if TYPE_CHECKING:
    from concord.charter.run_sections import ComparisonSpec, InnerSpec

app = typer.Typer(help="Your own model from a shared one, at home.", no_args_is_help=True)
certificates.register(app)


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
    show_record(record)
    say(f"\nmodel {out}: concord chat {out}")


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

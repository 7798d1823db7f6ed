"""`concord release export-gguf`: a model as one file for llama.cpp."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from concord.cli.checked import UNVERIFIED, checked_model
from concord.cli.desk import JSON
from concord.cli.say import say, say_json


def register(app: typer.Typer) -> None:
    app.command("export-gguf")(export)


def export(
    model: Path = typer.Argument(
        ..., help="Release, model folder, or a federation whose model it is."
    ),
    out: Path = typer.Argument(..., help="The file to write, such as atlas-q8_0.gguf."),
    kind: str = typer.Option("q8_0", help="f16, q8_0 or q4_0: 2, 1 or half a byte a weight."),
    name: str = typer.Option("", help="Name of the model in the file; else the folder's."),
    licence: str | None = typer.Option(None, help="Licence of the model, as SPDX names it."),
    languages: list[str] = typer.Option([], "--language", help="A language; repeatable."),
    unverified: bool = UNVERIFIED,
    as_json: bool = JSON,
) -> None:
    """Write a model as one GGUF file, which llama.cpp and many programs on it load.

    Example: concord release export-gguf demo/runs/demo/model demo.gguf --kind q4_0
    """
    from concord.release.gguf import Origin, export_gguf, kind_named

    chosen = kind_named(kind)
    folder = checked_model(model, unverified=unverified)
    origin = Origin(name=name, licence=licence, languages=tuple(languages))
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("writing", total=None)

        def written(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        digest = export_gguf(folder, out, chosen, origin=origin, on_tensor=written)
    if as_json:
        say_json({"file": str(out), "kind": chosen, "digest": digest})
        return
    say(f"{out}: {out.stat().st_size / 1e6:,.1f} MB, {digest}")

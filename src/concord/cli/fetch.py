"""`concord release fetch`: a release, or a part of it, over any line."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from concord.base.digest import check_digest
from concord.cli.desk import JSON
from concord.cli.say import count, say, say_json, warn
from concord.cli.setting import clock


def register(app: typer.Typer) -> None:
    app.command("fetch")(fetch)


def fetch(
    source: str = typer.Argument(..., help="Folder of a release, or its address on a host."),
    out: Path = typer.Argument(..., help="Where to put it; a new folder, or one to go on in."),
    only: list[str] = typer.Option(
        [],
        "--only",
        help="weights, tokenizer, papers, gguf, gguf-f16, gguf-q8, gguf-q4, or a path; repeatable.",
    ),
    federation: str | None = typer.Option(
        None, help="Digest of the federation that it must be, as you have it from elsewhere."
    ),
    as_json: bool = JSON,
) -> None:
    """Fetch a release, or what you need of it; verified, and resumed where it broke off.

    Example: concord release fetch https://example.org/atlas/1.0 atlas-1.0 --only gguf-q4
    """
    from concord.release.fetch import fetch_release, source_at

    wanted = None if federation is None else check_digest(federation, where="--federation")
    console = Console(stderr=True)
    columns = (TextColumn("fetching"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None)
        done = fetch_release(
            source_at(source),
            out.resolve(),
            clock=clock(),
            only=only,
            federation=wanted,
            told=lambda came: bar.advance(task, came),
            total=lambda size: bar.update(task, completed=0, total=size),
        )
    manifest = done.findings.manifest
    if as_json:
        say_json(
            {
                "folder": str(out),
                "files": done.files,
                "bytes": done.bytes,
                "notices": list(done.findings.notices),
                "published": done.findings.published,
                "federation": None if manifest is None else manifest.federation,
            }
        )
        return
    for notice in done.findings.notices:
        warn(notice)
    say(f"{out}: {count(len(done.files), 'file')}, {done.bytes / 1e6:,.1f} MB fetched; verified")
    if manifest is not None and wanted is None:
        say(
            f"version {manifest.version} of {manifest.name}. Who that is, the log says itself:"
            " compare the federation's digest with one that you have from a member by another way:"
        )
        say(f"  {manifest.federation}")

"""`concord data check`: look at a member's text before a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from concord.data.readers import OnProgress
    from concord.data.summary import TextSummary

app = typer.Typer(no_args_is_help=True, help="A member's own text; nothing of it leaves.")

SAMPLE_KEY = b"concord data check"
"""Stands for the member's secret, which decides which documents are held out, not how many."""
BYTES_PER_TOKEN = 3
"""Assumption: a shared tokenizer of some thousand merges makes tokens of 2 to 4 bytes."""
MAX_EPOCHS = 4
"""Up to four passes over a text teach about as much as new text (Muennighoff et al. 2023,
section 6)."""
DEFAULT_TOKENS = 150 * 20 * 512
"""What a run of `concord init` draws from each member: rounds, steps, tokens of a batch."""
MOST_NAMED = 6


@app.command()
def check(
    paths: list[Path] = typer.Argument(
        ..., help="Files or folders of .txt, .jsonl, .parquet, plain, .gz or .zst."
    ),
    heldout: list[Path] = typer.Option([], help="Text that is only measured on."),
    heldout_share: float = typer.Option(
        0.05, min=0.0, max=0.49, help="Share held out, where no text is named for it."
    ),
    text_key: str = typer.Option("text", help="Key or column that holds the text."),
    tokens_needed: int = typer.Option(
        DEFAULT_TOKENS, min=1, help="Tokens that a run would draw: rounds × steps × batch."
    ),
    jurisdictions: list[str] = typer.Option(
        [],
        "--jurisdiction",
        help="Country whose national ids and local telephone numbers are looked for, such as BR;"
        " repeatable.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print what was counted as JSON."),
) -> None:
    """Read a text as a run would, change nothing, and say what is in it.

    Personal data is counted by kind: e-mail and network addresses, telephone numbers, bank
    accounts, payment cards, national ids. None of it is printed.

    Example: concord data check corpora/swahili --tokens-needed 2000000

    Example: concord data check corpora/gazeta --jurisdiction BR
    """
    from concord.data.personal import PersonalDataRule
    from concord.data.prepare import check_text

    with text_progress(Console(stderr=True)) as on_progress:
        summary = check_text(
            paths,
            heldout_paths=heldout or None,
            key=None if heldout else SAMPLE_KEY,
            heldout_share=heldout_share,
            text_key=text_key,
            personal=PersonalDataRule("keep", tuple(jurisdictions)),
            on_progress=on_progress,
        )
    warnings = warnings_about(summary, tokens_needed=tokens_needed)
    if as_json:
        value = summary.to_json() | {"warnings": warnings}
        typer.echo(json.dumps(value, indent=1, ensure_ascii=False))
        return
    _print_summary(Console(), summary, split=not heldout)
    for warning in warnings:
        Console(stderr=True).print(f"note: {warning}", style="yellow", highlight=False)


def warnings_about(summary: TextSummary, *, tokens_needed: int) -> list[str]:
    """What a member should know of its text before a run draws `tokens_needed` tokens from it."""
    found = []
    tokens = summary.train_bytes // BYTES_PER_TOKEN
    if tokens * MAX_EPOCHS < tokens_needed:
        found.append(
            f"small: about {tokens:,} tokens to train on, and a run that draws {tokens_needed:,}"
            f" reads each {tokens_needed / max(1, tokens):,.0f} times; beyond {MAX_EPOCHS} times"
            " little more is learned"
        )
    duplicates = summary.exact_duplicates + summary.near_duplicates
    if duplicates * 5 > summary.read_documents:
        found.append(
            f"{duplicates / summary.read_documents:.0%} of the documents repeat others and are"
            " left out"
        )
    if not summary.heldout_documents:
        found.append("nothing is held out, so nothing can be measured on this text")
    return found


def _print_summary(console: Console, summary: TextSummary, *, split: bool) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    rows = [
        ("documents", summary.documents, f"of {summary.read_documents:,} read"),
        ("bytes", summary.bytes, "of UTF-8, after cleaning"),
        ("exact duplicates", summary.exact_duplicates, "left out"),
        ("near duplicates", summary.near_duplicates, "left out"),
        ("empty", summary.empty_documents, "left out"),
        ("longest document", summary.longest_document_bytes, "bytes"),
        ("to train on", summary.train_documents, f"documents, {summary.train_bytes:,} bytes"),
        (
            "held out",
            summary.heldout_documents,
            f"documents, {summary.heldout_bytes:,} bytes"
            + ("; about as many in a run, chosen by the member's secret" if split else ""),
        ),
    ]
    for name, number, note in rows:
        table.add_row(name, f"{number:,}", note)
    console.print(table)
    for name, counts in (("scripts", summary.scripts), ("languages", summary.languages)):
        if counts:
            console.print(f"{name}: {_shares(counts)}", highlight=False, markup=False)
    _print_personal(console, summary.personal_data)


def _print_personal(console: Console, counts: Mapping[str, int]) -> None:
    """Kinds of personal data, and how many there would be in a million documents."""
    from concord.data.personal.scan import FOUND

    kinds = {name.removeprefix(FOUND): n for name, n in counts.items() if name.startswith(FOUND)}
    if not kinds:
        console.print("personal data: none found by its patterns", highlight=False)
        return
    scanned = counts["scanned_documents"]
    console.print(
        f"personal data: in {counts['documents']:,} of {scanned:,} documents", highlight=False
    )
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for kind, count in sorted(kinds.items(), key=lambda pair: -pair[1]):
        rate = count * 1_000_000 // scanned
        table.add_row(f"  {kind}", f"{count:,}", f"{rate:,} per million documents")
    console.print(table)


def _shares(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    named = list(counts.items())[:MOST_NAMED]
    shares = [f"{name} {number / total:.1%}" for name, number in named]
    if len(counts) > MOST_NAMED:
        shares.append(f"and {len(counts) - MOST_NAMED} more")
    return ", ".join(shares)


@contextmanager
def text_progress(console: Console) -> Iterator[OnProgress]:
    """A bar for text that is read, on a terminal."""
    bars = Progress(
        TextColumn("reading"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bars:
        task = bars.add_task("reading", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)

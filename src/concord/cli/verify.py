"""`concord verify` and `concord publish`: what a stranger needs to check a federation."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from concord.base.errors import DocumentError, VerificationFailed
from concord.cli.plain import printable
from concord.cli.verify_watch import TerminalVerifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from concord.ledger.verify import Verification
    from concord.ledger.verify_terms import Wishes

MAX_KEYS_BYTES = 1 << 20
PIN = (
    "Who these parties are, the log says itself. Compare the federation's digest with one that you"
    " have from a member by another way; then give it: --federation"
)


def register(app: typer.Typer) -> None:
    app.command("verify")(verify)
    app.command("publish")(publish)


def verify(
    folder: Path = typer.Argument(Path(), help="Federation folder, or a published copy of it."),
    name: str | None = typer.Option(None, "--run", help="Check the bases of this run only."),
    replay: bool = typer.Option(
        True, "--replay/--no-replay", help="Compute every base again from the updates."
    ),
    federation: str | None = typer.Option(
        None, help="Digest of the federation that it must be, as you have it from elsewhere."
    ),
    witness_keys: Path | None = typer.Option(
        None,
        help="Witness keys you know from elsewhere: lines of `<member> ed25519:<hex>`, or JSON.",
    ),
    checkpoint: list[Path] = typer.Option(
        [], help="A checkpoint that you or another reader saw; may be given several times."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print what was found as JSON."),
) -> None:
    """Check everything that a federation has published, from its first entry on.

    Needs no key, no network, no GPU. Ends with exit status 10 at the first thing that is wrong.

    Example: concord verify atlas
    """
    from concord.ledger.verdict import verdict
    from concord.ledger.verify_terms import Wishes

    wishes = Wishes(
        run=name,
        replay=replay,
        federation=_digest(federation),
        witness_keys=_witness_keys(witness_keys),
        checkpoints=tuple(_note(path) for path in checkpoint),
    )
    with _verification(folder, wishes) as found:
        try:
            found.run()
        except VerificationFailed as error:
            _show(verdict(found, error), as_json)
            raise
        _show(verdict(found), as_json)


def publish(
    folder: Path = typer.Argument(..., help="Federation folder."),
    out: Path = typer.Argument(..., help="New folder, or an earlier copy of the same log."),
) -> None:
    """Copy log and objects to a folder that any file host can serve; nothing private comes along.

    What does not pass `concord verify --no-replay` is not copied.

    Example: concord publish atlas atlas-public
    """
    from concord.ledger.publish import publish as copy
    from concord.ledger.verify_terms import Wishes

    with _verification(folder, Wishes(replay=False)) as found:
        found.run()
        made = copy(found, out)
    Console().print(
        f"{made.entries:,} entries, {made.objects:,} objects, {made.bytes:,} bytes in {out}\n"
        f"to check it: concord verify {out} --federation {found.state.federation}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


@contextmanager
def _verification(folder: Path, wishes: Wishes) -> Iterator[Verification]:
    from concord.base.clock import SystemClock
    from concord.ledger.verify import Verification

    with (
        tempfile.TemporaryDirectory(prefix="concord-verify-") as workdir,
        TerminalVerifier(Console(stderr=True)) as watcher,
    ):
        yield Verification(
            folder, workdir=Path(workdir), clock=SystemClock(), wishes=wishes, watcher=watcher
        )


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    console = Console()
    table = Table(box=None, pad_edge=False, show_header=False)
    for step in found["steps"]:
        mark = "[green]ok[/]" if step["passed"] else "[bold red]WRONG[/]"
        name = f"{step['number']} {step['name']}"
        table.add_row(mark, name, Text(printable(step["found"])), f"{step['seconds']:.1f} s")
    console.print(table)
    for title, text in _facts(found):
        console.print(
            f"{title:<12}{printable(text)}", soft_wrap=True, highlight=False, markup=False
        )
    if found["ok"]:
        console.print(f"\n{PIN} {found['federation']['digest']}", soft_wrap=True, highlight=False)


def _facts(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "federation" in found:
        yield "federation", f"{found['federation']['name']}  {found['federation']['digest']}"
    if "log" in found:
        yield "log", f"{found['log']['size']:,} entries, root {found['log']['root']}"
    if "cosigned" in found:
        last = datetime.fromtimestamp(max(found["cosigned"].values(), default=0), UTC)
        yield "cosigned", f"{', '.join(found['cosigned'])}; last {last:%Y-%m-%d %H:%M:%S} UTC"
    if "state" in found:
        yield "charter", found["charter"]
        yield "coordinator", f"{found['coordinator']}, term {found['term']}"
    for run in found.get("runs", ()):
        again = "computed again" if run["computed_again"] else "NOT computed again"
        yield f"run {run['name']}", f"{run['rounds']} rounds, {run['base']}, {again}"
    if "state" in found:
        yield "compute", f"{int(found['flops']):,} FLOPs, as members declare"
        yield "state", found["state"]


def _digest(text: str | None) -> str | None:
    from concord.base.digest import check_digest

    return None if text is None else check_digest(text, where="--federation")


def _note(path: Path) -> Any:
    from concord.base.errors import SignatureRefused
    from concord.crypto.notes import MAX_NOTE_BYTES, Note

    try:
        with path.open("rb") as stream:
            return Note.parse(stream.read(MAX_NOTE_BYTES + 1))
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror}", where=path) from error
    except SignatureRefused as error:
        raise DocumentError(f"is no checkpoint: {error.message}", where=path) from error


def _witness_keys(path: Path | None) -> dict[str, Any]:
    """Keys of a file: lines of a member and its key, or JSON with them under `witnesses`."""
    from concord.base.errors import KeyRefused
    from concord.crypto.keys import PublicKey

    if path is None:
        return {}
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_KEYS_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError("cannot be read as text", where=path) from error
    try:
        named = _from_json(text, path) if text.startswith("{") else _from_lines(text, path)
        found = {member: PublicKey.parse(key) for member, key in named.items()}
    except KeyRefused as error:
        raise DocumentError(error.message, where=path) from error
    if not found:
        raise DocumentError("names no key", where=path)
    return found


def _from_json(text: str, path: Path) -> dict[str, str]:
    from concord.base.canonical import parse_json

    witnesses = parse_json(text.encode(), where=path).get("witnesses")
    if not isinstance(witnesses, dict) or not all(type(key) is str for key in witnesses.values()):
        raise DocumentError("names no keys by member", where=f"{path}: witnesses")
    return witnesses


def _from_lines(text: str, path: Path) -> dict[str, str]:
    named: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words and (len(words) != 2 or words[0] in named):
            raise DocumentError("is not one member and its key", where=f"{path}, line {number}")
        named |= dict([words]) if words else {}
    return named

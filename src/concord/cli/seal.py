"""`concord seal`: what sealed rounds tell of their members, and who spoiled one."""

from __future__ import annotations

import math
from pathlib import Path

import typer

from concord.base.digest import Digest
from concord.base.errors import DocumentError, SealRefused, StatementRefused, VerificationFailed
from concord.base.files import write_new
from concord.cli import desk
from concord.cli.say import columns, count, say, say_json
from concord.crypto.seal.leak import DEFAULT_LIMIT
from concord.federation.sealed.disclosure import open_part
from concord.ledger.archive import Archive
from concord.ledger.sealed.book import RoundBook
from concord.ledger.sealed.dispute import (
    Shown,
    check_panel,
    judge_shown,
    sealed_plans,
    shown_norm,
)
from concord.ledger.sealed.exposure import Exposure, exposures, released_sums
from concord.ledger.statements.rounds import RoundPlan
from concord.update.integer.scales import ScaleTable

app = typer.Typer(help="What sealed rounds tell, and who spoiled one.", no_args_is_help=True)
MAX_FILE_BYTES = 1 << 36


@app.command()
def score(
    folder: Path = desk.FOLDER,
    run: str | None = typer.Option(None, help="Only of the run of this name."),
    rho: float = typer.Option(
        0.2, min=0.0, max=1.0, help="Share of an update that stays the same over the rounds."
    ),
    limit: float = typer.Option(
        DEFAULT_LIMIT, min=0.0, max=1.0, help="Scores above it are marked."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Show how well each member's mean update could be estimated from all sums in the log.

    0: no combination of sums singles the member out. 1: its mean update is known. A member that
    stays away now and then adds different sums, which is what makes the score grow.

    Example: concord seal score atlas --rho 0.3
    """
    archive = desk.open_archive(folder)
    by_run = released_sums(entry for _, entry in archive.numbered())
    chosen = {
        seat.name: exposures(by_run.get(digest, []), rho)
        for digest, seat in archive.state.runs.items()
        if run in (None, seat.name) and digest in by_run
    }
    if run is not None and run not in {seat.name for seat in archive.state.runs.values()}:
        raise StatementRefused("there is no such run", where=run, remedy="see `concord log show`")
    if as_json:
        say_json({"rho": rho, "limit": limit, "runs": _as_json(chosen)})
        return
    for name, found in sorted(chosen.items()):
        say(f"{name}: if {rho:.0%} of an update stays the same")
        for line, over in zip(_lines(found), _over(found, limit), strict=True):
            say(f"  {line}", style="yellow" if over else "")
    if not chosen:
        say("no sum was released")


@app.command()
def disclose(
    folder: Path = desk.FOLDER,
    member: str = desk.AS,
    out: Path = typer.Option(..., "--out", help="A new file, for the panel alone."),
    plan: str | None = typer.Option(None, help="First digits of the round's plan; else the last."),
) -> None:
    """Open a member's part in one sealed round to a panel, from what the member kept.

    The file holds the member's update of that round, unmasked. It opens no other round.

    Example: concord seal disclose atlas --as kenya --out kenya.opening
    """
    archive = desk.open_archive(folder)
    federation = desk.federation_at(folder)
    books = _books(archive, member)
    digest = desk.find_digest(plan, books, what="sealed round") if plan else next(reversed(books))
    run, book = books[digest]
    private = federation.member(member).private / "seal" / archive.state.runs[run].name
    table = ScaleTable.decode(federation.objects.get(book.plan.scales or ""))
    write_new(out, open_part(private, member, run, book, table).encode(), mode=0o600)
    say(f"{out} opens {member}'s update of round {book.round + 1}, attempt {book.plan.attempt + 1}")
    say("who reads it knows that update: give it to the panel and to nobody else", style="yellow")


@app.command()
def judge(
    folder: Path = desk.FOLDER,
    openings: list[Path] = typer.Argument(..., help="Files made by `concord seal disclose`."),
) -> None:
    """Hold what members opened against the log: did they send what they committed to?

    Ends with status 10 if one did not.

    Example: concord seal judge atlas kenya.opening peru.opening
    """
    archive, federation = desk.open_archive(folder), desk.federation_at(folder)
    books = sealed_plans(archive.entries, archive.replica.library)
    shown = [Shown.decode(_read(path), where=path) for path in openings]
    if unknown := [one.plan for one in shown if one.plan not in books]:
        raise SealRefused("is no sealed round of this log", where=unknown[0])
    check_panel([(books[one.plan], one.member) for one in shown])
    wrong = []
    for one in shown:
        table = ScaleTable.decode(federation.objects.get(books[one.plan].plan.scales or ""))
        found = judge_shown(books[one.plan], one, table)
        norm = shown_norm(one, table) if not found else math.nan
        said = "; ".join(found) or f"sent what it committed to; norm {norm:.4g}"
        say(f"{one.member}  round {books[one.plan].round + 1}  {said}", style="red" * bool(found))
        wrong += [one.member] * bool(found)
    if wrong:
        message = "did not send what it committed to, or masked other values than allowed"
        raise VerificationFailed(message, where=", ".join(wrong))


def _books(archive: Archive, member: str) -> dict[Digest, tuple[Digest, RoundBook]]:
    """Sealed rounds in which a member sent something: run and what was said, by plan."""
    runs = {
        entry.statement.digest: entry.statement.binding.run or ""
        for entry in archive.entries
        if isinstance(entry.statement.body, RoundPlan)
    }
    books = sealed_plans(archive.entries, archive.replica.library)
    found = {plan: (runs[plan], book) for plan, book in books.items() if member in book.sent}
    if not found:
        raise SealRefused("sent nothing in a sealed round", where=member)
    return found


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SealRefused("is too large for an opening", where=path)
        return path.read_bytes()
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror}", where=path) from error


def _lines(found: list[Exposure]) -> list[str]:
    return columns(
        [one.member, count(one.sums, "sum"), f"{one.different} different", f"score {one.score:.2f}"]
        for one in found
    )


def _over(found: list[Exposure], limit: float) -> list[bool]:
    return [one.score > limit for one in found]


def _as_json(chosen: dict[str, list[Exposure]]) -> dict[str, list[dict[str, object]]]:
    return {
        name: [
            {
                "member": one.member,
                "sums": one.sums,
                "different_sums": one.different,
                "score": round(one.score, 4),
            }
            for one in found
        ]
        for name, found in sorted(chosen.items())
    }

"""`concord init`: make a federation folder, from the embedded almanac or from text on disk."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import typer
from rich.console import Console

from concord.base.clock import SystemClock
from concord.base.errors import CorpusNotFound, DocumentError
from concord.base.files import storage_errors
from concord.base.identifiers import check_identifier
from concord.charter.template import write_default_charter
from concord.cli.templates import RunChoices, run_toml
from concord.federation.folders import FederationFolder
from concord.federation.office import Office
from concord.federation.sealed.words import sealed_words

TEXT_ENDINGS = (".txt", ".jsonl", ".parquet")
COMPRESSED = (".gz", ".zst")


class Link(StrEnum):
    """Which links the members have."""

    USUAL = "usual"
    THIN = "thin"


def register(app: typer.Typer) -> None:
    app.command("init")(initialise)


def initialise(
    folder: Path = typer.Argument(..., help="Folder to make."),
    text: Path | None = typer.Option(
        None, help="One folder or file of text per member; its name is the member's id."
    ),
    heldout: Path | None = typer.Option(None, help="The same with text that is only measured on."),
    parallel: Path | None = typer.Option(
        None, help="Parallel set for the tokenizer: one file per language, line by line the same."
    ),
    members: list[str] = typer.Option(
        [], "--member", help="Member to take, or member=language,language; all if none is named."
    ),
    name: str = typer.Option("first", help="Name of the run document to write."),
    rounds: int = typer.Option(150, min=1, help="Rounds of the run."),
    merges: int = typer.Option(4096, min=0, help="Merges of the shared tokenizer."),
    almanac_bytes: int = typer.Option(1_500_000, min=10_000, help="Almanac text per member."),
    continue_from: Path | None = typer.Option(
        None, help="Folder of a causal language model to start from; its tokenizer is kept."
    ),
    seed: int = typer.Option(0, min=0, max=2**32 - 1, help="The same seed repeats the run."),
    sealed: bool = typer.Option(
        False,
        "--sealed",
        help="Sealed mode: nobody sees one member's update, only sums (docs/sealed-runs.md).",
    ),
    min_survivors: int | None = typer.Option(
        None, min=3, max=16, help="Least members of a sealed sum; below 5 only if named here."
    ),
    link: Link = typer.Option(
        Link.USUAL,
        help="thin: sparse updates with error feedback, for links of 20 to 100 Mbit/s"
        " (docs/links.md).",
    ),
    founders: Path | None = typer.Option(
        None, help="TOML file: who founds, who oversees, who coordinates; else all are equal."
    ),
) -> None:
    """Make a federation folder: a charter, a log, and one private folder with keys per member.

    Without --text the members are countries of the embedded almanac, which needs no download.

    Example: concord init atlas --member kenya --member greece

    Example: concord init atlas --sealed

    Example: concord init atlas --text corpora --parallel flores --member kenya=swh_Latn
    """
    from concord.federation.datasets import describe_almanacs
    from concord.federation.preflight import check_run

    check_identifier(name, where="--name")
    if sealed and link is Link.THIN:
        raise DocumentError(
            "sealed updates are integers of one length for all and cannot be sparse",
            where="--link",
            remedy="leave out --link thin, or --sealed",
        )
    wanted = dict(_wanted(entry) for entry in members)
    if continue_from is not None:
        _check_model(continue_from)
    with _new_folder(folder) as making:
        if text is None:
            _only_with_text(heldout, parallel)
            made = make_almanac_federation(
                making, list(wanted), almanac_bytes=almanac_bytes, seed=seed
            )
        else:
            made = make_text_federation(
                making, text, heldout=heldout, parallel=parallel, wanted=wanted
            )
        federation = FederationFolder(making)
        office = found_here(federation, folder.resolve().name, made, founders, almanac=text is None)
        charter = office.charter
        if text is None:
            describe_almanacs(office)
        choices = RunChoices(
            owner_cap=str(charter.influence.owner_cap),
            clip=not sealed,
            sealed=sealed,
            thin=link is Link.THIN,
            min_survivors=min_survivors,
            name=name,
            members=sorted(made),
            languages=made,
            seed=seed,
            rounds=rounds,
            merges=merges,
            parity=any(made.values()),
            continue_from=None if continue_from is None else _relative(continue_from, making),
        )
        federation.write_run(run_toml(choices), name)
        check_run(federation, federation.load_run(name))
    _tell(folder, choices)


def found_here(
    federation: FederationFolder,
    title: str,
    members: Iterable[str],
    founders: Path | None = None,
    *,
    almanac: bool = False,
) -> Office:
    """Write the default charter, make everybody's keys, and found the federation.

    Args:
        almanac: Whether members are those of the almanac, whose jurisdictions are known.

    Raises:
        DocumentError: the founders' file is faulty.
        CharterRefused: with these numbers of speakers somebody would have too much power.
    """
    from concord.cli.founders import read_founders
    from concord.federation.founding import found_federation

    chosen = sorted(members)
    file = read_founders(founders, chosen)
    labels = {member: federation.member(member).load().name for member in chosen}
    write_default_charter(federation.charter, title, members=len(chosen))
    return found_federation(
        federation,
        federation_id(title),
        file.founders(chosen, labels, _places() if almanac else {}),
        overseers={name: entry.jurisdiction for name, entry in file.overseer.items()},
        coordinator=file.coordinator or chosen[0],
        clock=SystemClock(),
    )


def _places() -> dict[str, str]:
    from concord.data.almanac import MEMBERS

    return {member.id: member.territory for member in MEMBERS}


def federation_id(title: str) -> str:
    """A name for the log, from the folder's."""
    plain = "".join(c if c.isalnum() and c.isascii() else "-" for c in title.lower()).strip("-")
    return plain[:32] if plain[:1].isalpha() else f"f-{plain}"[:32].rstrip("-")


def _tell(folder: Path, choices: RunChoices) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{len(choices.members)} members: {', '.join(choices.members)}")
    if not choices.parity and choices.continue_from is None:
        console.print("no parallel set: the tokenizer is learned in ordinary mode", style="yellow")
    federation = FederationFolder(folder)
    for words in sealed_words(federation.load_run(choices.name)):
        console.print(words, style="yellow", markup=False)
    path = federation.run_path(choices.name)
    console.print(f"look at {path}, then: concord run {folder}", markup=False)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place when all is written, and vanishes otherwise.

    Beside it, so that relative paths lead to the same places from both.
    """
    folder = folder.resolve()
    with storage_errors(folder):
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise DocumentError("is not an empty folder", where=folder, remedy="choose a new one")
        making = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
        making.mkdir(parents=True)
    try:
        yield making
        with storage_errors(folder):
            making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _only_with_text(heldout: Path | None, parallel: Path | None) -> None:
    for option, given in (("--heldout", heldout), ("--parallel", parallel)):
        if given is not None:
            raise DocumentError(
                "belongs to --text; the almanac brings its own",
                where=option,
                remedy="give --text too, or leave it out",
            )


def _check_model(folder: Path) -> None:
    from concord.model.folder import check_architecture

    check_architecture(folder)


def make_almanac_federation(
    folder: Path, members: Sequence[str], *, almanac_bytes: int, seed: int
) -> dict[str, tuple[str, ...]]:
    """Write the almanac's text and one folder per member; return each member's languages.

    Raises:
        DocumentError: the almanac has no such member.
    """
    from concord.data.almanac import MEMBERS, write_almanac

    known = {member.id: member for member in MEMBERS}
    for member in members:
        if member not in known:
            raise DocumentError(
                f"the almanac has no member {member!r}",
                where="--member",
                remedy=f"choose among {', '.join(sorted(known))}",
            )
    chosen = list(members) or sorted(known)
    corpus = folder / "almanac"
    write_almanac(corpus, members=chosen, bytes_per_member=almanac_bytes, seed=seed)
    federation = FederationFolder(folder)
    for member in chosen:
        federation.member(member).write(
            name=known[member].name,
            text=(f"../../almanac/{member}/text.jsonl",),
            facts="../../almanac/facts.jsonl",
        )
    (folder / "parallel").symlink_to(Path("almanac") / "parallel" / "dev")
    return {member: (known[member].locale,) for member in chosen}


def make_text_federation(
    folder: Path,
    text: Path,
    *,
    heldout: Path | None,
    parallel: Path | None,
    wanted: dict[str, tuple[str, ...]],
) -> dict[str, tuple[str, ...]]:
    """Write one folder per member that names its text where it lies.

    Raises:
        CorpusNotFound: there is no such text.
    """
    found = _sources(text)
    for member in wanted:
        if member not in found:
            raise CorpusNotFound(
                f"holds no text named {member!r}",
                where=text,
                remedy=f"name one of {', '.join(sorted(found)[:20])}",
            )
    chosen = {member: wanted.get(member, ()) for member in wanted or found}
    for member in chosen:
        check_identifier(member, where=found[member])
    apart = _sources(heldout) if heldout is not None else {}
    if heldout is not None and (lacking := sorted(set(chosen) - set(apart))):
        raise CorpusNotFound(
            f"holds no text named {lacking[0]!r}",
            where=heldout,
            remedy="add it, or leave --heldout out: then a share of each text is held out",
        )
    federation = FederationFolder(folder)
    for member in chosen:
        own = federation.member(member)
        own.write(
            name=member,
            text=(_relative(found[member], own.root),),
            heldout=(_relative(apart[member], own.root),) if member in apart else (),
        )
    if parallel is not None:
        (folder / "parallel").symlink_to(_relative(parallel, folder))
    return chosen


def _wanted(entry: str) -> tuple[str, tuple[str, ...]]:
    member, _, languages = entry.partition("=")
    check_identifier(member, where="--member")
    return member, tuple(code for code in languages.split(",") if code)


def _sources(folder: Path) -> dict[str, Path]:
    """Member id to its file or folder of text."""
    if not folder.is_dir():
        raise CorpusNotFound(
            "is not a folder", where=folder, remedy="give one with a file or folder per member"
        )
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        bare = path.with_suffix("") if path.suffix in COMPRESSED else path
        if path.is_dir() or bare.suffix in TEXT_ENDINGS:
            found[bare.stem] = path.resolve()
    if not found:
        raise CorpusNotFound(
            "holds no text", where=folder, remedy="give .txt, .jsonl or .parquet files"
        )
    return found


def _relative(path: Path, start: Path) -> str:
    return os.path.relpath(path.resolve(), start.resolve())

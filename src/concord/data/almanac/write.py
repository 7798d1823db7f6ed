"""Write the almanacs of members, their facts and the parallel set into a folder.

    <folder>/<member>/text.jsonl         documents: id, text, lang
    <folder>/facts.jsonl                 facts, each held by the text of one member alone
    <folder>/parallel/dev/<locale>.txt   the same lines in every language, to learn a tokenizer
    <folder>/parallel/test/<locale>.txt  other such lines, to measure it on

The bytes are a function of members, size, seed and the versions of babel and holidays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random

from concord.base.errors import DocumentError
from concord.base.files import atomic_file, storage_errors, write_atomic
from concord.data.almanac import days, places, tables
from concord.data.almanac.desk import Deck, Desk, Page
from concord.data.almanac.knowledge import as_fact, gather
from concord.data.almanac.members import MEMBERS, AlmanacMember, find_member
from concord.data.almanac.parallel import parallel_lines
from concord.data.facts import Fact, write_facts

MIN_BYTES = 10_000
MIN_TOLD = 5
"""Documents in which a fact must stand in full to be asked."""
PARALLEL_LINES = 2000
"""Half of them for learning, half for measuring."""
MIN_LINES = 2
"""Lines below the title."""
PATIENCE = 1000
"""Pages in a row that were written before, after which nothing new can be told."""

PageMaker = Callable[[Desk], Page]
# Pages of each kind, of every 40. Those that state facts in full come most.
PAGES: dict[PageMaker, int] = {
    places.country: 8,
    places.gazetteer: 10,
    places.digest: 2,
    places.language: 2,
    places.index: 1,
    places.currency: 2,
    days.month: 2,
    days.day: 6,
    days.holiday: 1,
    days.year: 1,
    days.week: 1,
    tables.measures: 1,
    tables.sums: 1,
    tables.numbers: 1,
    tables.timetable: 1,
    tables.weather: 1,
}


@dataclass(frozen=True)
class MemberSummary:
    """What was written for one member."""

    member: str
    documents: int
    bytes: int
    """UTF-8 bytes of the texts, without JSON around them."""
    facts: int


@dataclass(frozen=True)
class AlmanacSummary:
    """What was written in all."""

    members: tuple[MemberSummary, ...]
    parallel_lines: int
    """Lines per language, in both halves together."""


def write_almanac(
    folder: Path,
    *,
    members: Sequence[str] | None = None,
    bytes_per_member: int,
    seed: int,
    on_progress: Callable[[MemberSummary], None] | None = None,
) -> AlmanacSummary:
    """Write the embedded corpus; a file that exists is replaced.

    Args:
        members: Ids; all twelve if None.
        bytes_per_member: Bytes of text at least, and less than a document more; from 10,000 on.
            Below about 200,000 some facts occur too seldom to be asked.
        on_progress: Told of each member when its text is written.

    Raises:
        DocumentError: an unknown or repeated member, or too few bytes.
        StorageError: the disk is full or the folder cannot be written.
    """
    chosen = MEMBERS if members is None else tuple(find_member(member) for member in members)
    if not chosen or len(set(chosen)) < len(chosen):
        raise DocumentError("no member, or one twice", where="members")
    if bytes_per_member < MIN_BYTES:
        raise DocumentError(
            f"{bytes_per_member:,} bytes are too few for an almanac",
            where="bytes_per_member",
            remedy=f"ask for {MIN_BYTES:,} or more",
        )
    summaries, facts = [], []
    for member in chosen:
        summary, own = _write_member(folder / member.id, member, bytes_per_member, seed)
        summaries.append(summary)
        facts.extend(own)
        if on_progress is not None:
            on_progress(summary)
    write_facts(folder / "facts.jsonl", facts)
    _write_parallel(folder / "parallel", seed)
    return AlmanacSummary(tuple(summaries), PARALLEL_LINES)


def _write_member(
    folder: Path, member: AlmanacMember, min_bytes: int, seed: int
) -> tuple[MemberSummary, list[Fact]]:
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    # To be repeated, not a secret. A string seeds through SHA-512, whatever PYTHONHASHSEED says.
    desk = Desk(gather(member), Random(f"almanac {member.id} {seed}"))  # noqa: S311
    written = documents = 0
    with atomic_file(folder / "text.jsonl") as stream:
        for text in _texts(desk):
            record = {"id": f"{member.id}-{documents:06}", "text": text, "lang": member.locale}
            stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            documents += 1
            written += len(text.encode())
            if written >= min_bytes:
                break
    facts = _facts(desk)
    return MemberSummary(member.id, documents, written, len(facts)), facts


def _texts(desk: Desk) -> Iterator[str]:
    """Pages without end, none twice."""
    makers = Deck([maker for maker, cards in PAGES.items() for _ in range(cards)], desk.rng)
    seen: set[bytes] = set()
    stale = 0
    while stale < PATIENCE:
        page = makers.draw()(desk)
        digest = hashlib.blake2b(page.text.encode(), digest_size=12).digest()
        if len(page.lines) < MIN_LINES or digest in seen:
            stale += 1
            desk.drop_page()
            continue
        stale = 0
        seen.add(digest)
        desk.finish_page()
        yield page.text


def _facts(desk: Desk) -> list[Fact]:
    """The blocks of which every statement was told often enough."""
    member, number = desk.knowledge.member, count(1)
    return [
        as_fact(member, block, index, next(number))
        for block in desk.knowledge.asked
        if min(desk.told[statement] for statement in block) >= MIN_TOLD
        for index in range(len(block))
    ]


def _write_parallel(folder: Path, seed: int) -> None:
    for locale, lines in parallel_lines(PARALLEL_LINES, seed).items():
        for half, name in enumerate(("dev", "test")):
            path = folder / name / f"{locale}.txt"
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, "".join(f"{line}\n" for line in lines[half::2]).encode())

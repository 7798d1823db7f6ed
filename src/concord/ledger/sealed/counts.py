"""Sealed counts of merges: which are left out, the masked file, the sum, and the tokenizer.

A member counts every merge of a public list in its text. It masks the counts as it masks an update
(`concord.crypto.seal`), in a ring of 32 bits; what the sum over a cohort says is public.

A sum hides nothing that one member alone contributes. So a merge counts only if at least
`seal.min_contributors` owners in the cohort's masking set declare a language in whose public words
it is made; at the place of any other, members send 0. That follows from the roster, the log and the
list, and from no text. `seal.lone_languages` lowers the number for a language by its name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from concord.charter.run import RunDocument
from concord.crypto.seal import CHECK_ELEMENTS, Ring
from concord.crypto.seal.ring import SignedArray
from concord.data.bpe.files import tokenizer_json
from concord.data.bpe.listed import MergeList
from concord.data.bpe.listed_choice import Flags, Summed, choose_merges
from concord.data.bpe.pairs import Ints
from concord.ledger.sealed.book import CountBook
from concord.ledger.sealed.instance import raw, sealed_instance
from concord.ledger.sealed.rounds import open_cohort
from concord.update.integer.flu import FluHeader, Mode, open_file

RING_BITS = 32


def counted(run: RunDocument, listed: MergeList, members: Iterable[str]) -> Flags:
    """[merges] Those that enough of these members declare a language of."""
    seal = run.seal
    assert seal is not None  # noqa: S101 - only sealed runs have sums
    taking_part, made_LM = set(members), listed.public > 0
    owners: dict[str, set[str]] = {language: set() for language in listed.languages}
    for member in run.roster:
        for language in set(member.languages) & owners.keys():
            if member.id in taking_part:
                owners[language].add(member.owner or member.id)
    everyone = sorted(set().union(*owners.values()))
    declares_OL = np.array([[owner in owners[name] for name in owners] for owner in everyone])
    contributes_OM = declares_OL.reshape(len(everyone), len(owners)) @ made_LM
    named = np.array(
        [len(found) >= seal.lone_languages.get(name, math.inf) for name, found in owners.items()]
    )
    enough_M = contributes_OM.sum(axis=0) >= seal.min_contributors
    return np.asarray(enough_M | made_LM[named].any(axis=0))


def ring_of(book: CountBook) -> Ring:
    """The ring of all vectors of a plan for counts."""
    return Ring(RING_BITS, book.epoch.largest)


def counts_vector(
    run: RunDocument, book: CountBook, listed: MergeList, number: int, counts_M: Ints
) -> SignedArray:
    """A member's counts as values of the ring, check elements at their end.

    Counts above what the ring has room for are cut; what is left out is 0.

    Args:
        number: The member's cohort.
    """
    ring = ring_of(book)
    values = np.zeros(len(listed) + CHECK_ELEMENTS, ring.signed)
    known = counted(run, listed, book.masking[number])
    values[: len(listed)] = np.where(known, np.minimum(counts_M, ring.largest), 0)
    return values


def counts_header(
    run: RunDocument, book: CountBook, listed: MergeList, number: int, member: str
) -> FluHeader:
    """What the masked file of a member has to say of itself; its length follows."""
    cohort = book.epoch.cohorts[number]
    instance = sealed_instance(run.digest, book, cohort)
    return FluHeader(
        mode=Mode.MASKED,
        ring=ring_of(book),
        run=instance.run[:16],
        round=instance.round,
        fragment=instance.fragment,
        attempt=instance.attempt,
        member=cohort.index(member),
        count=len(listed) + CHECK_ELEMENTS,
        scales=raw(listed.digest)[:16],
    )


def sum_counts(
    run: RunDocument,
    book: CountBook,
    listed: MergeList,
    numbers: Iterable[int],
    files: Mapping[str, Path],
) -> tuple[Summed, tuple[str, ...]]:
    """Sums of cohorts, added up.

    Args:
        numbers: The cohorts.
        files: Masked file of each of their survivors.

    Returns:
        The sums, and in words wrong shares that they could be had without, each with its sender.

    Raises:
        SealRefused, SealVoid: a sum cannot be opened, or cannot be right.
        UpdateRefused: a file is not of this plan.
    """
    sums_M, known_M = np.zeros(len(listed), np.int64), np.zeros(len(listed), np.bool_)
    faults: list[str] = []
    for number in numbers:
        cohort = book.epoch.cohorts[number]
        opening = open_cohort(run.digest, book, number)
        faults += [f"{cohort.members[one.member]} {one.reason}" for one in opening.faults]
        vectors = {
            cohort.index(m): open_file(files[m], counts_header(run, book, listed, number, m))
            for m in book.survivors[number]
        }
        found_M = opening.sum(vectors, ring_of(book)).astype(np.int64)
        mine_M = counted(run, listed, book.masking[number])
        sums_M += np.where(mine_M, np.maximum(found_M, 0), 0)
        known_M |= mine_M
    return Summed(sums_M, known_M), tuple(faults)


def learned_tokenizer(run: RunDocument, listed: MergeList, summed: Summed) -> str:
    """Content of the `tokenizer.json` that list and sums come to."""
    spec = run.tokenizer
    vocabulary = choose_merges(listed, summed, mode=spec.mode, merges=spec.merges)
    return tokenizer_json(vocabulary)

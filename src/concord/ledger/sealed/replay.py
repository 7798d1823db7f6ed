"""A sealed round computed again by whoever wants to know: from masked files, sets and shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from concord.base.digest import Digest
from concord.base.errors import (
    ConcordError,
    SealRefused,
    SealVoid,
    StorageError,
    UpdateRefused,
    VerificationFailed,
)
from concord.ledger.arithmetic import RoundInputs
from concord.ledger.sealed.book import RoundBook
from concord.ledger.sealed.coverage import MAX_COVERAGE_BYTES, Coverage
from concord.ledger.sealed.rounds import (
    SealedInputs,
    cohort_sum,
    merge_sealed,
    open_cohort,
    sealed_inputs,
)
from concord.ledger.sealed.tables import Clips
from concord.update.combine import CombinedRound, RoundPaths

Find = Callable[[Digest, str, str, int | None], Path]
"""(digest, what it is, for whom in words, most bytes) -> a path whose bytes have that digest."""


@dataclass(frozen=True)
class SealedReplay:
    """What a sealed round was found to be."""

    made: CombinedRound
    clips: Mapping[str, float]
    """c_T of each weight for the next round."""
    faults: tuple[str, ...]
    """Wrong shares that the sum could be had without, each with its sender, in words."""


def replay_sealed(
    inputs: RoundInputs,
    clips: Clips,
    book: RoundBook,
    updates: Mapping[str, Digest],
    weights: Mapping[str, Fraction],
    paths: RoundPaths,
    find: Find,
) -> SealedReplay:
    """Compute a sealed round again.

    1. The scales are those that follow from the rounds before.
    2. Each cohort that went in can be unmasked with the shares in the log.
    3. Its masked files are of this round, of the exact length, and sum up to possible values.
    4. Merge and outer step; the caller compares what they came to.

    Raises:
        VerificationFailed: names round and cohort, and member where it is known.
        StorageError: the work folder is full.
    """
    where = f"round {inputs.round + 1}"
    sealed = _inputs(inputs, clips, book, find, where)
    sums, faults = [], []
    for number, survivors in sorted(book.survivors.items()):
        if not set(survivors) <= updates.keys():
            continue
        place = f"{where}, cohort {number}"
        names = book.epoch.cohorts[number].members
        try:
            opening = open_cohort(inputs.run.digest, book, number)
            faults += [f"{place}: {names[one.member]} {one.reason}" for one in opening.faults]
            files = {m: find(updates[m], "masked update", f"{place}, {m}", None) for m in survivors}
            sums.append(cohort_sum(sealed, book, number, opening, files))
        except UpdateRefused as error:
            raise VerificationFailed(f"masked update {error.message}", where=place) from error
        except (SealRefused, SealVoid) as error:
            raise VerificationFailed(_named(error, names), where=place) from error
    if not sums:
        raise VerificationFailed("no cohort went in as a whole", where=where)
    try:
        made, following = merge_sealed(sealed, sums, weights, paths)
    except (StorageError, VerificationFailed):
        raise
    except ConcordError as error:
        raise VerificationFailed(f"cannot be computed: {error}", where=where) from error
    return SealedReplay(made, following, tuple(faults))


def _inputs(
    inputs: RoundInputs, clips: Clips, book: RoundBook, find: Find, where: str
) -> SealedInputs:
    digest = book.epoch.agreed_coverage
    if digest is None:
        raise VerificationFailed("members do not agree which rows are left out", where=where)
    path = find(digest, "vocabulary rows left out", where, MAX_COVERAGE_BYTES)
    try:
        coverage = Coverage.decode(path.read_bytes())
        sealed = sealed_inputs(inputs, clips, book.epoch.largest, coverage)
    except ConcordError as error:
        raise VerificationFailed(f"scales or rows cannot be used: {error}", where=where) from error
    if sealed.table.digest != book.plan.scales:
        raise VerificationFailed(
            f"scales are claimed to be {book.plan.scales}, but are {sealed.table.digest}",
            where=where,
        )
    return sealed


def _named(error: SealRefused | SealVoid, names: tuple[str, ...]) -> str:
    culprits = error.culprits if isinstance(error, SealVoid) else ()
    who = ", ".join(names[index] for index in culprits)
    place = "" if error.where is None else f"{error.where}: "
    return f"{place}{error.message}{f' (by {who})' if who else ''}"

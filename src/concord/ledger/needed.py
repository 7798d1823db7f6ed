"""Which objects a reader of a log needs, and which were dropped lawfully.

Needed: charters with all their files, run documents, and of each run the first base, the tokenizer
with the masked counts that it was learned from, the records, every update that was merged, and the
base that it has now. Not needed, since they are computed again from these: bases in between, outer
steps, what the outer optimiser keeps. Updates
that were left out are not kept, but for those that a probe gate spoke against. Dataset records are
public, and copied where they are at hand; evidence of gates may stay with whoever signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from concord.base.digest import Digest
from concord.ledger.account import CommittedRound, RunAccount


@dataclass(frozen=True)
class Need:
    """An object, by what it is and where the log names it."""

    digest: Digest
    what: str
    place: str


def needs(documents: Iterable[Need], runs: Iterable[RunAccount]) -> dict[Digest, Need]:
    """Every object that is needed, once, in the order of the log.

    Args:
        documents: Charters, their files, and run documents.
        runs: Runs whose bases are to be computed again.
    """
    found: dict[Digest, Need] = {}
    for need in documents:
        found.setdefault(need.digest, need)
    for run in runs:
        for need in _of_run(run):
            found.setdefault(need.digest, need)
    return found


def droppable(runs: Iterable[RunAccount]) -> dict[Digest, Need]:
    """Objects of the runs that need not be there; if they are, they must be right all the same."""
    found: dict[Digest, Need] = {}
    for run in runs:
        for one in run.rounds:
            for need in _computed(one):
                found.setdefault(need.digest, need)
    return found


def _of_run(run: RunAccount) -> Iterator[Need]:
    opening = run.opening
    yield Need(opening.first_base, "first base", run.place)
    yield Need(opening.record, "record of the first base", run.place)
    if opening.tokenizer is not None:
        yield Need(opening.tokenizer, "tokenizer", run.place)
    if run.learned is not None:
        place, learned = run.learned.place, run.learned.body
        yield Need(learned.merges, "list of merges", place)
        for member, counts in sorted(learned.counts.items()):
            yield Need(counts, f"masked counts of {member}", place)
    if opening.probes is not None:
        yield Need(opening.probes, "probes", run.place)
    for one in run.rounds:
        for member, merged in sorted(one.body.merged.items()):
            yield Need(merged.update, f"update of {member}", one.place)
        yield Need(one.body.record, "record of the round", one.place)
        if one.gate is not None:
            yield Need(one.gate.values, "values of the probe gate", one.place)
            for member in one.gate.quarantined:
                yield Need(one.gate.updates[member], f"quarantined update of {member}", one.place)
        yield from _of_sealed(one)
    if run.rounds:
        yield Need(run.base, "current base", run.rounds[-1].place)


def _of_sealed(one: CommittedRound) -> Iterator[Need]:
    book = one.sealed
    if book is None or book.plan.scales is None:
        return
    yield Need(book.plan.scales, "scales of the round", one.place)
    coverage = book.epoch.agreed_coverage
    if coverage is not None:
        yield Need(coverage, "vocabulary rows left out", one.place)


def _computed(one: CommittedRound) -> Iterator[Need]:
    yield Need(one.body.base, "base", one.place)
    yield Need(one.body.step, "outer step", one.place)
    if one.body.outer_state is not None:
        yield Need(one.body.outer_state, "outer state", one.place)

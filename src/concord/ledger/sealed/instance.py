"""What a cohort's sum is bound to, from what the log says of its round.

    run = digest of the run document        roster = SHA-256 of the plan's roster, as canonical JSON
    config = digest of the plan's statement (steps, scales, epoch, attempt, term)
    model = digest of the base              cohort = digest of the cohort's members

A round may be called again many times before anything is known of it (the fold counts the attempts
whose sums may be known); the protocol counts two attempts, so pairs of them are its fragments.
"""

from __future__ import annotations

from typing import Any

from concord.base.digest import Digest, digest_json
from concord.crypto.seal import Cohort, IndexSet, Instance
from concord.ledger.sealed.book import SumBook


def raw(digest: Digest) -> bytes:
    """The 32 bytes of a digest."""
    return bytes.fromhex(digest.removeprefix("sha256:"))


def sealed_instance(run: Digest, book: SumBook[Any], cohort: Cohort) -> Instance:
    """The instance of a cohort in a round."""
    plan = book.plan
    return Instance(
        run=raw(run),
        round=book.round,
        fragment=plan.attempt // 2,
        attempt=plan.attempt % 2,
        roster=raw(digest_json(list(plan.roster))),
        model=raw(plan.base),
        config=raw(book.plan_digest),
        cohort=cohort.digest,
    )


def indices(cohort: Cohort, members: tuple[str, ...]) -> IndexSet:
    """Members as the protocol names them.

    Raises:
        SealRefused: one is not in the cohort.
    """
    return IndexSet.of(cohort.index(member) for member in members)

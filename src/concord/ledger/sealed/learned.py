"""A tokenizer learned from sealed counts, computed again by whoever wants to know.

From what is public alone: the list of merges, the masked files, set-ups, sets and shares. No
member's text, no secret, no package that cuts text into words.
"""

from __future__ import annotations

from concord.base.digest import digest_bytes, digest_file
from concord.base.errors import (
    ConcordError,
    SealRefused,
    SealVoid,
    UpdateRefused,
    VerificationFailed,
)
from concord.base.objects import ObjectStore
from concord.charter.run import RunDocument
from concord.data.bpe.listed import MergeList
from concord.data.bpe.listed_choice import Summed
from concord.ledger.account import LearnedTokenizer
from concord.ledger.sealed.counts import learned_tokenizer, sum_counts


def check_learned(
    run: RunDocument, learned: LearnedTokenizer, objects: ObjectStore
) -> tuple[str, ...]:
    """Compute a run's tokenizer again, and compare it with the one that was used.

    1. The list of merges is what training on its public words makes of them.
    2. The sums can be unmasked with the shares in the log, and are of possible values.
    3. List and sums come to the tokenizer that the log names.

    Returns:
        Wrong shares that the sums could be had without, each with its sender, in words.

    Raises:
        VerificationFailed: one of these does not hold.
    """
    where, body = learned.place, learned.body
    for digest in (body.merges, *body.counts.values()):
        path = objects.path(digest)
        if not path.is_file() or digest_file(path) != digest:
            raise VerificationFailed(f"{digest} is missing or altered", where=where)
    try:
        listed = MergeList.decode(objects.get(body.merges))
        spec = run.tokenizer
        if listed.digest != MergeList.of(listed.words, mode=spec.mode, merges=spec.merges).digest:
            raise VerificationFailed(
                "the list of merges is not what its public words make", where=where
            )
        summed, faults = _sums(run, learned, listed, objects)
        found = digest_bytes(learned_tokenizer(run, listed, summed).encode())
    except VerificationFailed:
        raise
    except ConcordError as error:
        raise VerificationFailed(f"cannot be computed: {error}", where=where) from error
    if found != body.tokenizer:
        raise VerificationFailed(
            f"the tokenizer is claimed to be {body.tokenizer}, but is {found}", where=where
        )
    return tuple(f"counts for the tokenizer: {fault}" for fault in faults)


def _sums(
    run: RunDocument, learned: LearnedTokenizer, listed: MergeList, objects: ObjectStore
) -> tuple[Summed, tuple[str, ...]]:
    body, book = learned.body, learned.counts
    if body.plan is None:
        return Summed.nothing(listed), ()
    if book is None or book.plan_digest != body.plan:
        raise VerificationFailed("nothing is known of how it was sealed", where=learned.place)
    summed = [n for n, found in sorted(book.survivors.items()) if set(found) <= set(body.counts)]
    files = {member: objects.path(counts) for member, counts in body.counts.items()}
    try:
        return sum_counts(run, book, listed, summed, files)
    except (SealRefused, SealVoid, UpdateRefused) as error:
        raise VerificationFailed(f"counts: {error}", where=learned.place) from error

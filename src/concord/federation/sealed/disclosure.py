"""A member opens its part in one sealed round to a panel, from what it kept."""

from __future__ import annotations

from pathlib import Path

from concord.base.digest import Digest
from concord.base.errors import SealRefused
from concord.federation.sealed.epochs import EpochStore
from concord.federation.sealed.key_pen import epoch_name
from concord.federation.sealed.store import SealStore
from concord.ledger.sealed.book import RoundBook
from concord.ledger.sealed.dispute import Shown, header_of
from concord.ledger.sealed.instance import sealed_instance
from concord.update.integer.flu import HEADER_BYTES
from concord.update.integer.scales import ScaleTable


def open_part(folder: Path, member: str, run: Digest, book: RoundBook, table: ScaleTable) -> Shown:
    """What the panel needs of this member in this round.

    Args:
        folder: The member's private folder of sealed mode in this run.

    Raises:
        SealRefused: the member is in no cohort, or kept nothing of this round any more.
    """
    number = book.epoch.number_of(member)
    if number is None:
        raise SealRefused("is in no cohort", where=member)
    cohort = book.epoch.cohorts[number]
    keys = EpochStore(folder, epoch_name(book.epoch.digest), member).pair_keys(
        cohort.size, cohort.index(member)
    )
    if keys is None:
        raise SealRefused("the keys of this epoch are gone", where=member)
    kept = SealStore(folder).past(sealed_instance(run, book, cohort), cohort)
    header = header_of(run, book, member, table)
    found = kept.disclosure(keys, header.ring, HEADER_BYTES)
    return Shown(
        run=run,
        plan=book.plan_digest,
        member=member,
        salt=found.salt,
        seed=found.seed,
        secrets={cohort.members[j]: secret for j, secret in found.secrets.items()},
        data=found.values.tobytes(),
    )

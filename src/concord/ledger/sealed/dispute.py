"""A member's part in one sealed round, opened to a panel, and what the panel finds.

    "CSD1", u32 (little-endian) length of a head, the head, the values
    head   = canonical JSON: run, plan, member, salt, seed, secrets by member; bytes in hex
    values = signed little-endian integers of the ring, check elements at their end

The file holds what the masks hid: it is for the panel's eyes alone, and never an object of the
federation. Everything that it is held against stands in the log.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from concord.base.canonical import canonical_json, parse_canonical
from concord.base.digest import Digest
from concord.base.errors import ConcordError, SealRefused
from concord.crypto.seal.dispute import Committed, Disclosure, judge
from concord.crypto.seal.ring import SignedArray
from concord.ledger.entries import Entry
from concord.ledger.sealed.book import RoundBook, SealBook
from concord.ledger.sealed.instance import indices, raw, sealed_instance
from concord.ledger.state.library import Library
from concord.update.integer.flu import FluHeader, Mode
from concord.update.integer.scales import ScaleTable

MAGIC = b"CSD1"
MAX_HEAD_BYTES = 1 << 16
_KEYS = {"member", "plan", "run", "salt", "secrets", "seed"}


@dataclass(frozen=True)
class Shown:
    """One member's opening of one round."""

    run: Digest
    plan: Digest
    member: str
    salt: bytes
    seed: bytes
    secrets: dict[str, bytes]
    data: bytes
    """The values, as bytes: their type follows from the round's table of scales."""

    def encode(self) -> bytes:
        head = canonical_json(
            {
                "member": self.member,
                "plan": self.plan,
                "run": self.run,
                "salt": self.salt.hex(),
                "secrets": {member: one.hex() for member, one in self.secrets.items()},
                "seed": self.seed.hex(),
            }
        )
        return MAGIC + struct.pack("<I", len(head)) + head + self.data

    @classmethod
    def decode(cls, data: bytes, *, where: object = None) -> Shown:
        """Read what `encode` writes.

        Raises:
            SealRefused: it is something else.
        """
        try:
            (length,) = struct.unpack("<I", data[4:8])
            if data[:4] != MAGIC or length > MAX_HEAD_BYTES:
                raise ValueError("another file")
            head: Any = parse_canonical(data[8 : 8 + length], where=where, max_bytes=MAX_HEAD_BYTES)
            if set(head) != _KEYS:
                raise ValueError("other keys")
            secrets = {str(m): bytes.fromhex(one) for m, one in head["secrets"].items()}
            salt, seed = bytes.fromhex(head["salt"]), bytes.fromhex(head["seed"])
            run, plan, member = (str(head[key]) for key in ("run", "plan", "member"))
        except (ConcordError, AttributeError, TypeError, ValueError, struct.error) as error:
            raise SealRefused("is no opening of a sealed round", where=where) from error
        return cls(run, plan, member, salt, seed, secrets, data[8 + length :])


def sealed_plans(entries: Iterable[Entry], library: Library) -> dict[Digest, RoundBook]:
    """Every attempt at a sealed round in a log, by the digest of its plan, in order."""
    book, found = SealBook(library), {}
    for entry in entries:
        book.add(entry)
        for one in book.rounds.values():
            found[one.plan_digest] = one
    return found


def header_of(run: Digest, book: RoundBook, member: str, table: ScaleTable) -> FluHeader:
    """What the masked file of a member in a round began with."""
    number = book.epoch.number_of(member)
    if number is None:
        raise SealRefused("is in no cohort", where=member)
    cohort = book.epoch.cohorts[number]
    instance = sealed_instance(run, book, cohort)
    return FluHeader(
        mode=Mode.MASKED,
        ring=table.ring,
        run=raw(run)[:16],
        round=instance.round,
        fragment=instance.fragment,
        attempt=instance.attempt,
        member=cohort.index(member),
        count=table.count,
        scales=table.hash16,
    )


def check_panel(books: Sequence[tuple[RoundBook, str]]) -> None:
    """Refuse openings that would lay bare a member that did not open.

    Args:
        books: Round and member of each opening.

    Raises:
        SealRefused: of some cohort's round all members but one, or all, are opened.
    """
    opened: dict[tuple[Digest, int], set[str]] = {}
    for book, member in books:
        number = book.epoch.number_of(member) or 0
        opened.setdefault((book.plan_digest, number), set()).add(member)
        summed = book.survivors.get(number, book.masking.get(number, ()))
        if len(set(summed) - opened[book.plan_digest, number]) < 2:
            message = "with these the update of a member that opened nothing could be computed"
            remedy = "judge fewer of one round at once, and by other people"
            raise SealRefused(message, where=f"cohort {number}", remedy=remedy)


def judge_shown(book: RoundBook, shown: Shown, table: ScaleTable) -> tuple[str, ...]:
    """What is wrong with a member's part in a round, in words; empty if it did what it had to.

    Raises:
        SealRefused: the member is not in the round's masking set, or sent nothing.
    """
    number = book.epoch.number_of(shown.member)
    sent = book.sent.get(shown.member)
    if number is None or sent is None or number not in book.masking:
        raise SealRefused("sent nothing in this round", where=shown.member)
    cohort = book.epoch.cohorts[number]
    committed = Committed(
        file_hash=raw(sent.update),
        hidden=bytes.fromhex(sent.hidden),
        header=header_of(shown.run, book, shown.member, table).encode(),
        hash_of=lambda data: hashlib.sha256(data).digest(),
    )
    if len(shown.data) != table.count * table.ring.bytes:
        return ("the values are too few, or too many",)
    disclosure = Disclosure(
        member=cohort.index(shown.member),
        salt=shown.salt,
        values=values_of(shown, table),
        seed=shown.seed,
        secrets={cohort.index(member): one for member, one in shown.secrets.items()},
    )
    masked = indices(cohort, book.masking[number])
    setups = {cohort.index(member): book.setups[member] for member in book.masking[number]}
    instance = sealed_instance(shown.run, book, cohort)
    return judge(instance, cohort, setups, masked, disclosure, committed, table.ring)


def values_of(shown: Shown, table: ScaleTable) -> SignedArray:
    """The integers that a member opened."""
    return cast(SignedArray, np.frombuffer(shown.data, table.ring.signed))


def shown_norm(shown: Shown, table: ScaleTable) -> float:
    """L2 norm of the values in units of the parameters, the member's weight included."""
    values, total = values_of(shown, table), 0.0
    for scale, start in zip(table.tensors, table.starts, strict=True):
        part = values[start : start + scale.size].astype(np.float64)
        total += float(part @ part) * (scale.clip / table.ring.largest) ** 2
    return math.sqrt(total)

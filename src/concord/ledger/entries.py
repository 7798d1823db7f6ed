"""An entry of the log: a signed envelope around one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from concord.base.errors import ConcordError, StatementRefused
from concord.crypto.dsse import Envelope, sign_envelope
from concord.crypto.keys import PrivateKey
from concord.ledger.statements.statement import PAYLOAD_TYPE, Statement


@dataclass(frozen=True)
class Entry:
    """A statement with its signatures, and the bytes that the log holds."""

    statement: Statement
    envelope: Envelope
    data: bytes

    @classmethod
    def parse(cls, data: bytes, *, where: object = None) -> Self:
        """Read an entry; its signatures are not checked yet.

        Raises:
            StatementRefused: it is no envelope around a statement.
        """
        try:
            envelope = Envelope.decode(data)
        except ConcordError as error:
            place = error.where if where is None else f"{where}: {error.where}"
            raise StatementRefused(error.message, where=place) from error
        if envelope.payload_type != PAYLOAD_TYPE:
            raise StatementRefused("is an envelope of another type", where=where)
        return cls(Statement.parse(envelope.payload, where=where), envelope, data)

    @classmethod
    def sign(cls, statement: Statement, keys: Sequence[PrivateKey]) -> Self:
        """Sign a statement with one or more keys."""
        envelope = sign_envelope(statement.payload(), PAYLOAD_TYPE, keys)
        return cls(statement, envelope, envelope.encode())

    def also_signed(self, key: PrivateKey) -> Entry:
        """The same statement with one more signature."""
        envelope = self.envelope.with_signature(key)
        return Entry(self.statement, envelope, envelope.encode())


def refuse_future(entry: Entry, now: int, skew_s: int) -> None:
    """Refuse a statement that is dated later than clocks may differ.

    The fold has no clock; whoever lets a statement into the log asks this first.

    Raises:
        StatementRefused: it is dated more than `skew_s` seconds after `now`.
    """
    ahead_s = entry.statement.time - now
    if ahead_s > skew_s:
        raise StatementRefused(
            f"is from the future: {ahead_s} s ahead of this clock",
            where="time",
            remedy="set the clock of the machine that signed it, or of this one",
        )

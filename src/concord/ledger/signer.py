"""A party that speaks: binds a body to the federation and signs it."""

from __future__ import annotations

from collections.abc import Sequence

from concord.base.clock import Clock
from concord.base.digest import Digest
from concord.crypto.keys import PrivateKey
from concord.ledger.entries import Entry
from concord.ledger.keyring import KeyRing
from concord.ledger.state.model import State
from concord.ledger.statements.fields import Body
from concord.ledger.statements.statement import Author, Binding, Role, Statement


class Signer:
    """One party in one role.

    Args:
        party: Its id.
        role: In which role it speaks.
        keys: Its keys.
        clock: Time, handed in.
    """

    def __init__(self, party: str, role: Role, keys: KeyRing, clock: Clock) -> None:
        self.author = Author(role=role, party=party)
        self._keys = keys
        self._clock = clock

    def say(
        self,
        state: State,
        body: Body,
        *,
        run: Digest | None = None,
        round_: int | None = None,
        also: Sequence[PrivateKey] = (),
    ) -> Entry:
        """A signed statement, bound to the federation and charter of `state`.

        Args:
            run, round_: The run and round it belongs to, if it belongs to one.
            also: Keys of others who sign it too.

        Raises:
            KeyRefused: the party's key cannot be used.
            StatementRefused: the statement is too long.
        """
        statement = self.statement(state, body, run=run, round_=round_)
        return Entry.sign(statement, [self._keys.load("identity"), *also])

    def statement(
        self, state: State, body: Body, *, run: Digest | None = None, round_: int | None = None
    ) -> Statement:
        """The statement that `say` signs."""
        floor = state.next_number(self.author.role, self.author.party)
        time = int(self._clock.unix_s())
        return Statement(
            body=body,
            binding=Binding(
                federation=state.federation, charter=state.charter_at(time), run=run, round=round_
            ),
            author=self.author,
            seq=self._keys.next_number(floor),
            time=time,
        )

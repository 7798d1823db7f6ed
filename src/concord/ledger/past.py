"""Rounds that are past, as a member was asked about them and as it answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from concord.ledger.answers import BY_POLICY
from concord.ledger.entries import Entry
from concord.ledger.permission import RoundAsked
from concord.ledger.state.apply import apply
from concord.ledger.state.library import Library
from concord.ledger.state.model import State
from concord.ledger.statements.rounds import Granted, Refused


@dataclass(frozen=True)
class PastAnswer:
    """One plan, and what the member said to it last."""

    state: State
    """After all that the member knew: the entries before its answer."""
    asked: RoundAsked
    time: int
    """Of the answer, Unix seconds, by the member's clock."""
    said: Granted | Refused

    @property
    def allowed(self) -> bool:
        return isinstance(self.said, Granted)

    @property
    def by_policy(self) -> bool:
        """Whether the policy decided; a halt or another base keeps a member out before it."""
        return isinstance(self.said, Granted) or self.said.reason.startswith(BY_POLICY)


def past_answers(entries: Iterable[Entry], library: Library, member: str) -> list[PastAnswer]:
    """A member's answers to all plans of a log, in order.

    Raises:
        StatementRefused: an entry may not stand where it stands.
    """
    state, found = State(), dict[str, PastAnswer]()
    for entry in entries:
        statement, body = entry.statement, entry.statement.body
        run, round_ = statement.binding.run, statement.binding.round
        if (
            isinstance(body, Granted | Refused)
            and statement.author.party == member
            and run is not None
            and round_ is not None
            and (plan := state.run(run).plan) is not None
        ):
            asked = RoundAsked(library.run(run), round_, plan.roster, plan.mode)
            found[body.plan] = PastAnswer(state, asked, statement.time, body)
        state = apply(state, entry, library)
    return list(found.values())

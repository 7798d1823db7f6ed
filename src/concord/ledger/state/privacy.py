"""Privacy budgets as the log knows them: what is spent is never given back."""

from __future__ import annotations

from collections.abc import Sequence

from concord.base.errors import StatementRefused
from concord.ledger.state.model import SpentSeat, State, put
from concord.ledger.statements.privacy import PrivacySpent


def spend(state: State, party: str, told: Sequence[PrivacySpent]) -> State:
    """Take note of what a member says was spent.

    Raises:
        StatementRefused: less than it said before: its record was lost or put back.
    """
    own = dict(state.privacy.get(party, {}))
    for one in told:
        before = own.get(one.dataset)
        if before is not None and (one.steps < before.steps or one.epsilon < before.epsilon):
            raise StatementRefused(
                f"says that less was spent of dataset {one.dataset} than before", where="privacy"
            )
        own[one.dataset] = SpentSeat(epsilon=one.epsilon, steps=one.steps)
    return state.model_copy(update={"privacy": put(state.privacy, party, own)}) if told else state

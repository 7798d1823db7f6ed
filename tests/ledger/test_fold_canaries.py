"""Canaries in the fold: a member keeps to those that it committed to."""

import pytest

from concord.base.errors import StatementRefused
from concord.ledger.statements.rounds import RoundVoid
from concord.testing.history import History
from concord.testing.run_history import granted

FIRST, OTHER = (f"sha256:{digit * 64}" for digit in "ab")


def test_a_member_keeps_to_the_canaries_that_it_committed_to(tmp_path):
    history = History(tmp_path)
    run = history.adopt(rounds={"count": 3})

    def grant(canaries, refused=False):
        """In an attempt of its own."""
        plan = run.call()
        body = granted(plan, canaries=canaries)
        if refused:
            with pytest.raises(StatementRefused, match="names other canaries"):
                run.say(body, "chad")
        else:
            run.say(body, "chad")
        run.coordinator(RoundVoid(plan=plan, reason="a test"), run.round)

    grant(None)
    grant(FIRST)
    grant(OTHER, refused=True)
    grant(None, refused=True)
    grant(FIRST)
    assert history.state.run(run.digest).canaries == {"chad": FIRST}

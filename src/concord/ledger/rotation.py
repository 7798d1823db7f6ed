"""Key files follow the log: a prepared key takes its place when the log names it.

The log is first. A party prepares a key, says so in a statement, and only when the statement is
in the log do the files change; whoever is stopped in between goes on from there.
"""

from __future__ import annotations

from concord.ledger.keyring import KeyRing
from concord.ledger.state.model import State


def keys_of(state: State, party: str) -> dict[str, str]:
    """Public keys of a party by purpose, as the log has them now; empty if it is no party."""
    if party in state.overseers:
        return {"identity": state.overseers[party].key}
    seat = state.seated().get(party)
    if seat is None:
        return {}
    found = {"identity": seat.entry.key, "witness": seat.entry.witness_key}
    if state.coordinator.member == party:
        found["log"] = state.coordinator.log_key
    return found


def settle_keys(ring: KeyRing, state: State, party: str) -> tuple[str, ...]:
    """Bring a party's key files to where the log stands.

    Returns:
        Purposes whose file was exchanged.

    Raises:
        KeyRefused: a prepared key is damaged, or open to others.
        StorageError: the folder cannot be written.
    """
    expected = keys_of(state, party)
    return tuple(purpose for purpose, key in expected.items() if ring.settle(purpose, key))

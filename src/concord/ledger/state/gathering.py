"""Who has signed a statement, and who still has to. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from concord.base.errors import SignatureRefused, StatementRefused
from concord.charter.constitution import Charter
from concord.crypto.keys import PublicKey
from concord.ledger.entries import Entry
from concord.ledger.state.model import State
from concord.ledger.state.signers import required


@dataclass(frozen=True)
class Gathering:
    """Signatures under a statement that several sign."""

    signed: tuple[str, ...]
    """Parties that signed."""
    needed: int
    """Signatures that it needs in all."""
    lacking: tuple[str, ...]
    """Parties that it cannot do without."""
    others: tuple[str, ...]
    """Parties that may sign too."""

    @property
    def complete(self) -> bool:
        return not self.lacking and len(self.signed) >= self.needed

    @property
    def words(self) -> str:
        """How it stands, in one sentence."""
        found = f"signed by {', '.join(self.signed) or 'nobody'}"
        if self.complete:
            return f"{found}; that is enough"
        more = self.needed - len(self.signed)
        told = f"{found}; {more} more needed" if more > 0 else found
        must = f", among them {', '.join(self.lacking)}" if self.lacking else ""
        may = f" (may sign: {', '.join(self.others)})" if self.others else ""
        return told + must + may


def gathering(state: State, entry: Entry, charter: Charter) -> Gathering:
    """How the signatures under a statement stand.

    Raises:
        StatementRefused: its author may not say this, or a signature is wrong.
    """
    need = required(state, entry.statement, charter)
    revoked = set(state.revoked)
    names = key_names(state)
    keys = [key for key in need.keys if key.text not in revoked]
    try:
        good = entry.envelope.verify(keys, 1) if entry.envelope.signatures else frozenset()
    except SignatureRefused as error:
        raise StatementRefused(error.message, where="signatures") from error
    signed = tuple(_name(names, key) for key in keys if key.key_id in good)
    lacking = tuple(_name(names, key) for key in need.all_of if key.key_id not in good)
    others = tuple(
        _name(names, key) for key in keys if key.key_id not in good and key not in need.all_of
    )
    return Gathering(signed, need.threshold, lacking, others)


def key_names(state: State) -> dict[str, str]:
    """Party of every identity key that counts now."""
    found = {seat.entry.key: name for name, seat in state.seated().items()}
    return found | {seat.key: name for name, seat in state.overseers.items()}


def _name(names: dict[str, str], key: PublicKey) -> str:
    return names.get(key.text, f"key {key.key_id[:8]}")

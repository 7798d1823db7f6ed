"""A checkpoint beside what its reader knows from elsewhere: keys, a clock, other checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from concord.base.errors import VerificationFailed
from concord.charter.fields import Threshold
from concord.crypto.keys import PublicKey
from concord.crypto.notes import Note
from concord.ledger.forks import compare_checkpoints
from concord.ledger.names import witness_name
from concord.ledger.reader import LogReader
from concord.ledger.state.model import State

CLOCK_SKEW_S = 600
"""How far ahead of the reader's clock a time may be, as for a witness (C2SP tlog-cosignature)."""


def check_pinned(
    note: Note, state: State, pinned: Mapping[str, PublicKey], share: Threshold
) -> None:
    """Witness keys that the reader knows: the log must have the same, and a quorum cosigned.

    Args:
        pinned: Keys by member; none checks nothing.
        share: Of these witnesses, how many must have cosigned.

    Raises:
        VerificationFailed: a key is another one in the log, or too few of these cosigned.
    """
    if not pinned:
        return
    mine = state.witness_keys()
    for member, key in sorted(pinned.items()):
        if mine.get(member) != key.text:
            raise VerificationFailed(
                f"its witness key in the log is {mine.get(member, 'none')}, not {key.text}",
                where=member,
                remedy="ask the member itself whether it has a new key",
            )
    names = {witness_name(state.name, member): key for member, key in pinned.items()}
    have, needed = len(note.cosignatures(names)), share.needed(len(pinned))
    if have < needed:
        raise VerificationFailed(
            f"{have} of the {len(pinned)} witnesses that you know cosigned; {needed} are needed",
            where="checkpoint",
        )


def check_times(
    state: State, cosigned: Mapping[str, int], witnessed_s: int, *, now_s: float
) -> None:
    """No time lies ahead of this clock; no statement was made after a quorum had signed it.

    A coordinator that dates its statements ahead could let a halt expire before its time.

    Args:
        cosigned: When each member cosigned, in Unix seconds.
        witnessed_s: The youngest time at which a quorum had.

    Raises:
        VerificationFailed: a time cannot be.
    """
    for what, at in {"the last statement": state.time, **cosigned}.items():
        if at > now_s + CLOCK_SKEW_S:
            raise VerificationFailed(
                "bears a time in the future",
                where=f"checkpoint: {what}",
                remedy="see that this machine's clock is right",
            )
    if state.time > witnessed_s + CLOCK_SKEW_S:
        raise VerificationFailed(
            f"is dated {state.time - witnessed_s} s after a quorum of witnesses had signed it",
            where="checkpoint: the last statement",
        )


def compare_with(
    other: Note, mine: Note, reader: LogReader, log_keys: Sequence[tuple[int, str]]
) -> None:
    """Whether another checkpoint is of the history that is shown here.

    Args:
        other: What another reader was shown, or this one earlier.
        mine: The checkpoint of `reader`.
        log_keys: Each key that signed for the log, with the size from which on; ascending.

    Raises:
        VerificationFailed: it is of another log, was not signed by this one, or is longer.
        ForkDetected: they exclude each other.
    """
    size, origin = other.checkpoint.size, mine.checkpoint.origin
    where = f"other checkpoint, of {size} entries"
    if other.checkpoint.origin != origin:
        raise VerificationFailed(
            f"is of the log {other.checkpoint.origin}, not {origin}",
            where=where,
            remedy="give a checkpoint of this log",
        )
    key = next((key for since, key in reversed(log_keys) if since <= size), None)
    if key is not None and not other.log_signature_ok(origin, PublicKey.parse(key)):
        raise VerificationFailed(
            "is not signed by this log, so it shows nothing",
            where=where,
            remedy="give a checkpoint that the log signed",
        )
    if size > reader.size:
        raise VerificationFailed(
            f"was signed, and only {reader.size} entries are shown here: the log was cut back, or"
            " this copy is old",
            where=where,
        )
    compare_checkpoints(other, mine, reader)

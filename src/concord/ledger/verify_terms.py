"""Words of a verification: its steps, what a failed one means, what a caller may wish for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from concord.base.digest import Digest
from concord.crypto.keys import PublicKey
from concord.crypto.notes import Note

STEPS = (
    ("files", "the log's files make the tree of its checkpoint"),
    ("statements", "every entry is in its one form, signed as required, and allowed"),
    ("checkpoint", "signed by the coordinator in office and by a quorum of witnesses"),
    ("objects", "everything named and needed is there, unaltered"),
    ("bases", "every base is computed again from the updates"),
    ("agreement", "records, measurements and sums say what the statements say"),
    ("others", "it is the log that other readers saw"),
)
MEANING = {
    "files": "The files were altered or lost after they were signed. Fetch another copy; if all"
    " are alike, the log itself is broken: tell the members.",
    "statements": "Whoever writes the log let something in that its own rules forbid, or it was"
    " altered by somebody who holds the log's key. Believe nothing from that entry on.",
    "checkpoint": "Nobody vouches that others see this same log. Ask for a checkpoint with more"
    " cosignatures, or ask the witnesses what they signed.",
    "objects": "What is published is not complete, or was altered. Fetch the object of that digest"
    " from another copy.",
    "bases": "The model is not what the members' updates make it. Train on nothing that follows,"
    " and show this to the members.",
    "agreement": "Two things that are said of the same round exclude each other. Ask the"
    " coordinator; until then believe neither.",
    "others": "Somebody was shown another history. Keep both checkpoints: together they are"
    " evidence.",
}


@dataclass(frozen=True)
class Wishes:
    """What is to be checked beyond the log itself.

    Attributes:
        run: Name of the only run whose bases and objects are checked; None checks all.
        replay: Whether bases are computed again.
        federation: The federation it must be.
        witness_keys: Key of witnesses, by member, that the caller knows from elsewhere: a quorum
            of these must have cosigned.
        checkpoints: What other readers were shown, or this one earlier.
    """

    run: str | None = None
    replay: bool = True
    federation: Digest | None = None
    witness_keys: Mapping[str, PublicKey] = field(default_factory=dict)
    checkpoints: Sequence[Note] = ()


@dataclass(frozen=True)
class Step:
    """A step that was taken."""

    number: int
    name: str
    title: str
    seconds: float
    found: str
    """How much was looked at, in words."""
    passed: bool = True


class Watcher(Protocol):
    """Looks on while a log is verified."""

    def begins(self, number: int, title: str, total: int) -> None:
        """A step begins; `total` is what `advanced` will add up to, in entries or bytes."""

    def advanced(self, amount: int, what: str) -> None:
        """So much more is done; `what` is being looked at."""

    def ended(self, step: Step) -> None:
        """A step was passed, or failed."""


class Silent(Watcher):
    """Shows nothing."""

    def begins(self, number: int, title: str, total: int) -> None: ...

    def advanced(self, amount: int, what: str) -> None: ...

    def ended(self, step: Step) -> None: ...

"""Two readers compare what they were shown.

A log that shows two readers two histories has signed two checkpoints that no single log can
contain. One of them who has the entries can tell.
"""

from __future__ import annotations

from typing import Protocol

from concord.base.errors import ForkDetected, LogError
from concord.crypto.notes import Note


class History(Protocol):
    """Entries that one reader holds: a `Log` or a `LogReader`."""

    @property
    def size(self) -> int: ...

    def root_at(self, size: int) -> bytes: ...


def compare_checkpoints(note_a: Note, note_b: Note, reader: History) -> None:
    """Check that two checkpoints, whose log signatures were verified, are of one history.

    Args:
        note_a: What one reader was shown.
        note_b: What another was shown.
        reader: Entries of one of them, at least as many as the smaller checkpoint has, and as
            the larger has if the two differ in size.

    Raises:
        ForkDetected: they exclude each other; both notes together are the evidence.
        LogError: they are of two logs, or `reader` holds too few entries to tell.
    """
    a, b = note_a.checkpoint, note_b.checkpoint
    if a.origin != b.origin:
        raise LogError(f"{a.origin} and {b.origin} are two logs")
    if a.size == b.size:
        if a.root != b.root:
            raise _fork(f"two roots were signed for size {a.size}", a.origin)
        return
    for checkpoint in sorted((a, b), key=lambda found: found.size):
        if checkpoint.size > reader.size:
            message = f"only {reader.size} entries are here, {checkpoint.size} are needed"
            raise LogError(message, where=a.origin, remedy="fetch the rest of the log")
        if reader.root_at(checkpoint.size) != checkpoint.root:
            message = f"the checkpoint of size {checkpoint.size} is not of the history seen here"
            raise _fork(message, a.origin)


def _fork(message: str, origin: str) -> ForkDetected:
    remedy = "keep both checkpoints, and show them to the members before going on"
    return ForkDetected(message, where=origin, remedy=remedy)

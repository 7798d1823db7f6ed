"""A published log that was read and checked from its first entry: what reading commands ask.

Needs no lock and writes nothing, so a copy on any file host will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from concord.crypto.notes import Note
from concord.ledger.entries import Entry
from concord.ledger.reader import LogReader
from concord.ledger.replica import Replica
from concord.ledger.state.library import Library
from concord.ledger.state.model import State

Watch = Callable[[int, int], None]
STRIDE = 1_000


class Archive:
    """All entries of a log up to its checkpoint, and what they add up to.

    Args:
        folder: Folder of the log.
        library: Where charters and run documents are looked up.
        watch: Is told how many entries of how many were read, now and then.

    Raises:
        LogError, LogCorrupt: nothing is published there, or it is not what was signed.
        StatementRefused: an entry may not stand where it stands.
        SignatureRefused, ForkDetected: the checkpoint is not by the log in force.
    """

    def __init__(self, folder: Path, library: Library, watch: Watch | None = None) -> None:
        reader = LogReader(folder)
        self.note: Note = reader.note
        self.replica = Replica(library)
        self.entries: list[Entry] = []
        entries = reader.entries()
        while part := self.replica.extend(islice(entries, STRIDE)):
            self.entries += part
            if watch is not None:
                watch(len(self.entries), reader.size)
        if self.entries:
            self.replica.check(reader.note)

    @property
    def state(self) -> State:
        return self.replica.state

    def numbered(self) -> Iterator[tuple[int, Entry]]:
        """Entries with their indices."""
        return enumerate(self.entries)

"""The copy of the log beside a member at a site of its own, and what waits there to be said.

    HOME/log, HOME/objects      made from the member's kit; here the copy is kept fresh
    HOME/log/inbox              what the member's commands said while it was not connected

The copy follows what the member itself has checked, so that reading commands need no connection.
Where the log is written in the same folder by a coordinator, nothing is done here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from concord.base.errors import LogHeld, StatementRefused
from concord.base.locks import Held, locked
from concord.crypto.notes import Note
from concord.federation.folders import FederationFolder, MemberFolder
from concord.ledger.entries import Entry
from concord.ledger.inbox import Inbox
from concord.ledger.log import JOURNAL, LOCK, Log
from concord.ledger.state.apply import apply
from concord.ledger.state.library import Library
from concord.ledger.state.model import State

SITE = "site"
"""A member's kit lies in this folder of its own; without it the member is at no site."""


class HomeCopy:
    """What lies around a member's folder, where that is a home.

    Args:
        member: The member's folder.
    """

    def __init__(self, member: MemberFolder) -> None:
        self._member = member.id
        home = FederationFolder(member.root.parent.parent)
        self._log = home.log
        self._objects = home.objects
        self._inbox = Inbox(home.log / "inbox")
        self._is_home = (member.root / SITE).is_dir() and (home.log / JOURNAL).is_file()

    def keep_document(self, data: bytes) -> None:
        """Keep a document that entries may name."""
        if self._is_home:
            self._objects.put(data)

    def extend(self, origin: str, start: int, entries: Sequence[bytes], note: Note) -> None:
        """Add checked entries, and publish their checkpoint.

        Args:
            start: Number of the first entry.

        Raises:
            ForkDetected: the copy holds another history; it stays as it was.
            StorageError: it cannot be written.
        """
        if not self._is_home:
            return
        # Whoever holds the log writes it itself, or will let it be extended the next time.
        with suppress(LogHeld), Log.open(self._log, origin) as log:
            if start <= log.size:
                log.append(entries[log.size - start :])
                published = log.read_checkpoint()
                if published is None or published.checkpoint.size <= note.checkpoint.size:
                    log.publish(note)

    def waiting(self, state: State, library: Library) -> Iterator[Entry]:
        """Statements of this member that may enter the log now, in the order they were made.

        What may never enter is put aside with its reason.
        """
        if not self._is_home or self._written_here():
            return
        for name, data in self._inbox.waiting():
            try:
                entry = Entry.parse(data, where=name)
                author = entry.statement.author
                if (author.role, author.party) != ("member", self._member):
                    continue
                state = apply(state, entry, library)
            except StatementRefused as error:
                self._inbox.refuse(name, str(error))
                continue
            yield entry

    def _written_here(self) -> bool:
        """Whether a coordinator holds the log in this folder: then it takes the inbox itself."""
        try:
            with locked(self._log / LOCK, wait=False):
                return False
        except Held:
            return True

    def settle(self, entries: Sequence[Entry]) -> None:
        """Take out of the inbox what stands in the log by now."""
        if not self._is_home or not entries:
            return
        logged = {entry.data for entry in entries}
        for name, data in self._inbox.waiting():
            if data in logged:
                self._inbox.done(name)

"""Telling members what the log holds, and gathering their cosignatures."""

from __future__ import annotations

from concord.base.errors import SignatureRefused
from concord.federation.assembly import Assembly
from concord.federation.chronicle import Chronicle
from concord.federation.messages import CallRound, Cosigned


class Telling:
    """Keeps seated members up to date with the log.

    Args:
        assembly: The members, on a started engine.
        chronicle: The log.
    """

    def __init__(self, assembly: Assembly, chronicle: Chronicle) -> None:
        self._assembly = assembly
        self._chronicle = chronicle
        self._asked: set[str] = set()

    def tell_all(self) -> None:
        """Make a checkpoint, and send every seated member what it has not seen up to it."""
        self._chronicle.seal()
        self._asked = set(self._assembly.listening)
        for member in sorted(self._asked):
            self.tell(member)

    def tell(self, member: str) -> None:
        """Send one member what it has not seen up to the checkpoint that was made last."""
        if (documents := self._chronicle.documents_for(member)) is not None:
            self._assembly.engine.send(member, *documents)
        news, entries = self._chronicle.news_for(member)
        self._assembly.engine.send(member, news, entries)

    def take(self, member: str, message: Cosigned) -> None:
        """A cosignature came; who sends a wrong one is cut off."""
        try:
            if self._chronicle.cosigned(member, message):
                self._asked.discard(member)
        except SignatureRefused as error:
            self._assembly.engine.disconnect(member, str(error))

    def knows_all(self, member: str) -> bool:
        """Whether a member was sent everything up to the checkpoint."""
        return self._chronicle.told(member) == self._chronicle.note.checkpoint.size

    def lost(self, member: str) -> None:
        """A member left; if it comes back, it is told everything again."""
        self._asked.discard(member)
        self._chronicle.forget(member)

    @property
    def waiting(self) -> bool:
        """Whether cosignatures are still to come, and still needed."""
        if not self._chronicle.must_be_witnessed():
            return False
        return bool(self._asked) and not self._chronicle.witnessed()

    @property
    def waiting_for_anyone(self) -> bool:
        """Whether anybody who was told has not answered yet."""
        return bool(self._asked)

    @property
    def needed(self) -> int:
        """Members who have to be there so that a round can be witnessed."""
        return self._chronicle.witnesses()[1] if self._chronicle.must_be_witnessed() else 1

    def lacking(self) -> str | None:
        """Which cosignatures are lacking before anybody may train; None if there are enough."""
        if not self._chronicle.must_be_witnessed() or self._chronicle.witnessed():
            return None
        have, needed = self._chronicle.witnesses()
        return f"{have} members cosigned the log's checkpoint; {needed} are needed before training"

    def call(self, plan: str) -> CallRound:
        """The call to a round that is in the log."""
        return CallRound(plan=plan, note=self._chronicle.publish().encode().decode())

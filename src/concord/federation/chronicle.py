"""The coordinator's pen: what was planned, answered and committed goes into the log, in order.

Everything that enters is first held against the state (`concord.ledger.state`), so the log holds
nothing that a reader would refuse. A round has happened when its record is in the log, on disk,
and not before; what lies in the run's folder is made from it.
"""

from __future__ import annotations

from collections.abc import Iterator

from concord.base.clock import Clock
from concord.base.digest import Digest
from concord.base.errors import FederationError, StatementRefused
from concord.crypto.notes import Note, sign_checkpoint
from concord.federation.folders import FederationFolder
from concord.federation.joined import join
from concord.federation.messages import Cosigned, ExtendLog, TakeDocuments
from concord.ledger.entries import Entry, refuse_future
from concord.ledger.inbox import Inbox
from concord.ledger.log import Log
from concord.ledger.names import log_origin
from concord.ledger.replica import Replica
from concord.ledger.signer import Signer
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import State
from concord.ledger.statements.fields import Body


class Chronicle:
    """The log of a federation, as its coordinator writes it.

    Args:
        federation: The federation's folder; the log and the objects are in it.
        log: The log, open for writing.
        clock: Time, handed in.
    """

    def __init__(self, federation: FederationFolder, log: Log, clock: Clock) -> None:
        self._federation = federation
        self._log = log
        self._clock = clock
        self._inbox = Inbox(federation.root / "log" / "inbox")
        self._objects = federation.objects
        self.library = ObjectLibrary(federation.objects)
        self._replica = Replica(self.library)
        self._named: dict[int, tuple[Digest, ...]] = {}
        for index, entry in enumerate(self._replica.extend(log.entries(0, log.size))):
            self._name(index, entry)
        self._replica.require_founded()
        self._pending: list[bytes] = []
        self._told: dict[str, int] = {}
        self._note: Note | None = None
        self._lines: list[str] = []
        """Cosignatures that are not under the note yet."""
        self._cosigned: set[str] = set()
        self._news: dict[int, tuple[Note, ExtendLog, bytes]] = {}
        """What is told of the entries up to the checkpoint, by the first of them."""
        self._published: Note | None = None
        member = self.state.coordinator.member
        self._keys = federation.member(member).keys
        self._signer = Signer(member, "coordinator", self._keys, clock)
        if not self._keys.exists():
            raise FederationError(
                f"member {member!r} runs the coordinator, and its key is not here",
                where=self._keys.folder,
                remedy="run this at that member, or take the role over: `concord coordinator take`",
            )

    @property
    def state(self) -> State:
        return self._replica.state

    def entries(self) -> Iterator[Entry]:
        """Entries of the log, as far as it is written."""
        return (Entry.parse(data) for data in self._log.entries(0, self._log.size))

    def now(self) -> int:
        """Unix seconds, by the coordinator's clock."""
        return int(self._clock.unix_s())

    # --- what enters ------------------------------------------------------------------------

    def say(self, body: Body, *, run: Digest | None = None, round_: int | None = None) -> Entry:
        """A statement of the coordinator."""
        entry = self._signer.say(self.state, body, run=run, round_=round_)
        self._take(entry)
        return entry

    def hear(self, data: bytes, *, member: str) -> Entry:
        """A statement that a member sent over its own connection.

        Raises:
            StatementRefused: it is another member's, or may not stand here.
        """
        entry = Entry.parse(data, where=member)
        author = entry.statement.author
        if (author.role, author.party) != ("member", member):
            raise StatementRefused(f"came from {member!r} and names {author.party!r}")
        refuse_future(entry, self.now(), self._skew_s())
        self._take(entry)
        return entry

    def _skew_s(self) -> int:
        return self.library.charter(self.state.charter).log.clock_skew_s

    def _take(self, entry: Entry) -> None:
        self._name(self._replica.size, entry)
        self._replica.take(entry)
        self._pending.append(entry.data)

    def flush(self) -> None:
        """Write what was taken; afterwards it is on disk.

        Raises:
            StorageError: it cannot be written.
        """
        if self._pending:
            self._log.append(self._pending)
            self._pending.clear()

    def take_from_inbox(self) -> list[tuple[str, str]]:
        """Take statements that were handed in while the log was held; returns those refused.

        Each with the reason: they stay beside the log for whoever handed them in.
        """
        refused, taken = [], []
        for name, data in self._inbox.waiting():
            try:
                entry = Entry.parse(data, where=name)
                refuse_future(entry, self.now(), self._skew_s())
                self._take(entry)
                taken.append(name)
            except StatementRefused as error:
                if data in set(self._log.entries()):  # a crash came between log and inbox
                    taken.append(name)
                    continue
                refused.append((name, str(error)))
                self._inbox.refuse(name, str(error))
        self.flush()  # first the log, then the inbox: a crash in between loses nothing
        for name in taken:
            self._inbox.done(name)
        return refused

    # --- checkpoints ------------------------------------------------------------------------

    def seal(self) -> None:
        """Make a checkpoint of all that was taken; it is the one that members cosign from now on.

        What comes afterwards is under the next one.
        """
        self.flush()
        mine = self._replica.checkpoint
        if self._note is None or self._note.checkpoint != mine:
            line = sign_checkpoint(mine, log_origin(self.state.name), self._keys.load("log"))
            self._note = Note(mine, (line,))
            self._lines.clear()
            self._cosigned.clear()
            self._news.clear()

    @property
    def _sealed(self) -> Note:
        """The checkpoint with the cosignatures that were put under it."""
        if self._note is None:
            self.seal()
        assert self._note is not None  # noqa: S101 - just made
        return self._note

    @property
    def note(self) -> Note:
        """The checkpoint with all cosignatures so far."""
        note = self._sealed
        if self._lines:
            self._note = note = note.with_lines(*self._lines)
            self._lines.clear()
        return note

    def news_for(self, member: str) -> tuple[ExtendLog, bytes]:
        """What a member has not seen of the log up to the checkpoint, and the checkpoint."""
        note = self.note
        start, size = self._told.get(member, 0), note.checkpoint.size
        self._told[member] = size
        if (known := self._news.get(start)) is None or known[0] is not note:
            # Most members have seen the same: it is read and written out once.
            entries = join(self._log.entries(start, size)) if known is None else known[2]
            known = note, ExtendLog(start=start, note=note.encode().decode()), entries
            self._news[start] = known
        return known[1:]

    def forget(self, member: str) -> None:
        """A member's process is new: it is told everything again."""
        self._told.pop(member, None)

    def told(self, member: str) -> int:
        """How many entries a member was sent."""
        return self._told.get(member, 0)

    def documents_for(self, member: str) -> tuple[TakeDocuments, bytes] | None:
        """Charters and run documents that what a member has not seen yet names, if it names any."""
        start = self._told.get(member, 0)
        named = (found for index, found in self._named.items() if index >= start)
        digests = dict.fromkeys(digest for found in named for digest in found)
        if not digests:
            return None
        return TakeDocuments(), join([self._objects.get(digest) for digest in digests])

    def _name(self, index: int, entry: Entry) -> None:
        if found := self.library.named_by(entry.statement):
            self._named[index] = found

    def cosigned(self, member: str, message: Cosigned) -> bool:
        """A member's cosignature; False for one of an older checkpoint, of no use any more.

        Raises:
            SignatureRefused: it is wrong.
        """
        checkpoint = self._sealed.checkpoint
        if message.size != checkpoint.size:
            return False
        # Those that were checked are not again.
        self._replica.require_witness(Note(checkpoint, (message.line,)), member)
        self._lines.append(message.line)
        self._cosigned.add(member)
        return True

    def witnesses(self) -> tuple[int, int]:
        """How many cosigned the checkpoint, and how many are needed."""
        return len(self._cosigned), self._replica.quorum_needed()

    def witnessed(self) -> bool:
        """Whether a quorum cosigned the checkpoint."""
        have, needed = self.witnesses()
        return have >= needed

    def must_be_witnessed(self) -> bool:
        """Whether the charter lets members train only under a witnessed checkpoint."""
        return self.library.charter(self.state.charter).log.witnessed_before_training

    def publish(self) -> Note:
        """Write the checkpoint with all cosignatures so far."""
        if self.note is not self._published:
            self._log.publish(self.note)
            self._published = self.note
        return self.note

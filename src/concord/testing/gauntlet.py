"""An open round through which damaged frames are sent, as a coordinator would receive them.

Each frame goes the whole way: socket, frame, message, signed statement, state of the log, digest of
the payload, screening. Nothing on the way is a stand-in; only processes and time are left out.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from concord.base.digest import Digest, digest_bytes, digest_file
from concord.base.errors import ConcordError, StatementRefused
from concord.federation.coordinator import header_of
from concord.federation.frames import (
    MAGIC,
    PREFIX,
    ConnectionLost,
    Frame,
    Pace,
    receive_frame,
)
from concord.federation.merging import RunState
from concord.federation.messages import FROM_MEMBER, Said, decode_message, encode_message
from concord.federation.records import RunFolder
from concord.ledger.entries import Entry, refuse_future
from concord.ledger.round_record import RoundRecord
from concord.ledger.state.apply import apply
from concord.ledger.statements.rounds import UpdateSent
from concord.testing.history import History
from concord.testing.run_history import granted
from concord.update.payload import UpdateIdentity, encode_update

CLOCK_SKEW_S = 600
ACCEPTED = "accepted"


class Gauntlet:
    """A federation whose first round is open, every member granted.

    Args:
        root: An empty folder.
        members: Who takes part.
        update: The run document's section.
    """

    def __init__(
        self, root: Path, members: Sequence[str], update: dict[str, object] | None = None
    ) -> None:
        self.history = History(root, members)
        self.run = self.history.adopt(update=update or {"codec": "int4"})
        self.plan = self.run.call()
        for member in members:
            self.run.say(granted(self.plan), member)
        folder = RunFolder(root, self.run.run.name)
        folder.create()
        first = root / "first"
        shutil.copyfile(self.run.base, first)
        state = RunState.found(self.run.run, folder, first, digest_file(first), None)
        self.merge = state.open_round(started_s=0.0)
        self._spool = root / "spool"
        self._spool.mkdir()

    def payload(self, member: str, *, seed: int = 0, scale: float = 0.01) -> bytes:
        """An honest update of this round."""
        inputs = self.run.inputs
        identity = UpdateIdentity(self.run.digest, inputs.round, inputs.base_digest, member)
        draw = np.random.default_rng([seed, *member.encode()])
        arrays = {
            spec.name: draw.normal(0, scale, spec.shape).astype(np.float32)
            for spec in self.history.specs
        }
        path = self._spool / f"{member}.made"
        encode_update(path, inputs.update_layout, identity, arrays)
        return path.read_bytes()

    def entry(
        self, member: str, payload: bytes, *, digest: Digest | None = None, ahead_s: int = 0
    ) -> Entry:
        """The statement that announces an update, signed by the member."""
        inputs = self.run.inputs
        body = UpdateSent(
            plan=self.plan,
            base=inputs.base_digest,
            update=digest or digest_bytes(payload),
            bytes=len(payload),
            steps=inputs.agreed_steps,
            tokens=1,
            flops=1,
            train_s=0.0,
            mean_loss=1.0,
        )
        self.history.now += ahead_s
        statement = self.history.statement(body, member, run=self.run.digest, round_=inputs.round)
        self.history.now -= ahead_s
        return Entry.sign(statement, [self.history.key(member)])

    def outcome(self, member: str, frame: bytes) -> str:
        """What becomes of bytes on a member's connection: `accepted`, or why not."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(frame)
            theirs.shutdown(socket.SHUT_WR)
            try:
                received = receive_frame(
                    ours, self._spool, max_payload_bytes=1 << 20, pace=Pace(idle_s=5.0)
                )
            except (ConcordError, ConnectionLost) as error:
                return f"frame: {error}"
        try:
            return self._heard(member, received)
        except ConcordError as error:
            received.drop_payload()
            return f"{type(error).__name__}: {error}"

    def _heard(self, member: str, frame: Frame) -> str:
        message = decode_message(FROM_MEMBER, frame.message, sender=member)
        if not isinstance(message, Said):
            return f"message: {message.kind!r} was not asked for"
        entry = Entry.parse(message.entry.encode(), where=member)
        author = entry.statement.author
        if (author.role, author.party) != ("member", member):
            raise StatementRefused(f"came from {member!r} and names {author.party!r}")
        refuse_future(entry, self.history.now, CLOCK_SKEW_S)
        state = apply(self.history.state, entry, self.history.replica.library)
        self.merge.accept(member, header_of(entry), frame)
        self.history.replica.state = state
        return ACCEPTED

    def close(self) -> RoundRecord:
        """Merge what was accepted."""
        return self.merge.commit(
            left_out={},
            closed_because="all are through",
            now_s=1.0,
            bytes_up={},
            bytes_down={},
        )

    @property
    def spooled(self) -> int:
        """Payloads that are still kept."""
        return len(list(self._spool.glob("*.frame")))


def framed(message: bytes, payload: bytes) -> bytes:
    """A frame as it crosses."""
    return PREFIX.pack(MAGIC, len(message), len(payload)) + message + payload


def said(entry: Entry, payload: bytes) -> bytes:
    """The frame of a statement and its payload."""
    return framed(encode_message(Said(entry=entry.data.decode())), payload)

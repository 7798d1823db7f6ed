"""A real member, in a real process, whose updates are turned against the others before they leave.

It reads its text, trains, and follows the protocol; a relay behind it decodes each update, reverses
it, signs the announcement again with the member's own key, and sends that. `hostile.json` in the
member's folder holds the factor; without the file it is honest.
"""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from concord.base.digest import digest_bytes
from concord.base.tensors import TensorFile
from concord.charter.run import RunDocument, parse_run
from concord.federation.folders import MemberFolder
from concord.federation.frames import ConnectionLost, Frame, receive_frame, send_frame
from concord.federation.member.process import main as member_main
from concord.federation.messages import (
    FROM_MEMBER,
    TO_MEMBER,
    Prepare,
    Said,
    decode_message,
    encode_message,
)
from concord.ledger.entries import Entry
from concord.ledger.keyring import KeyRing
from concord.ledger.layouts import update_layout
from concord.ledger.statements.rounds import UpdateSent
from concord.update.payload import UpdateFile, encode_update

MAX_PAYLOAD_BYTES = 1 << 30


def main(stream: socket.socket, folder: Path) -> None:
    """Run a member behind a relay; the signature of a member's process."""
    script = folder / "hostile.json"
    factor = json.loads(script.read_text())["factor"] if script.exists() else 1.0
    inner, outer = socket.socketpair()
    relay = _Relay(folder, stream, outer, float(factor))
    for target in (relay.down, relay.up):
        threading.Thread(target=target, daemon=True).start()
    member_main(inner, folder)
    inner.shutdown(socket.SHUT_WR)
    relay.ended.wait(5)


@dataclass
class _Relay:
    folder: Path
    stream: socket.socket
    outer: socket.socket
    factor: float
    run: RunDocument | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def down(self) -> None:
        """From the coordinator to the member; only the run document is read on the way."""
        try:
            while True:
                frame = self._next(self.stream, "down")
                message = decode_message(TO_MEMBER, frame.message, sender="coordinator")
                if isinstance(message, Prepare):
                    self.run = parse_run(message.run)
                send_frame(self.outer, frame.message, frame.read_payload() or None)
        except ConnectionLost:
            self.outer.shutdown(socket.SHUT_WR)

    def up(self) -> None:
        """From the member to the coordinator."""
        try:
            while True:
                frame = self._next(self.outer, "up")
                message, payload = frame.message, frame.read_payload() or None
                said = decode_message(FROM_MEMBER, message, sender="member")
                if isinstance(said, Said) and payload is not None and self.factor != 1.0:
                    message, payload = self._reversed(said, payload)
                send_frame(self.stream, message, payload)
        except ConnectionLost:
            self.ended.set()

    def _next(self, stream: socket.socket, name: str) -> Frame:
        spool = self.folder / f"relay-{name}"
        spool.mkdir(exist_ok=True)
        return receive_frame(stream, spool, max_payload_bytes=MAX_PAYLOAD_BYTES)

    def _reversed(self, said: Said, payload: bytes) -> tuple[bytes, bytes]:
        entry = Entry.parse(said.entry.encode())
        body, round_ = entry.statement.body, entry.statement.binding.round
        assert isinstance(body, UpdateSent)  # noqa: S101 - nothing else has a payload
        assert self.run is not None  # noqa: S101 - prepared before
        assert round_ is not None  # noqa: S101 - of a round
        base = TensorFile(self.folder / "private" / "state" / self.run.name / "base.tensors")
        layout = update_layout(self.run, base.specs, round_)
        update = UpdateFile(payload, layout)
        turned = {
            one.name: update.decode(one.name) * np.float32(self.factor if one.is_weight else 1)
            for one in layout
        }
        path = self.folder / "turned.update"
        encode_update(path, layout, update.identity, turned)
        data = path.read_bytes()
        changed = body.model_copy(update={"update": digest_bytes(data), "bytes": len(data)})
        key = KeyRing(MemberFolder(self.folder).private).load("identity")
        again = Entry.sign(replace(entry.statement, body=changed), [key])
        return encode_message(Said(entry=again.data.decode())), data

"""The member's process: its connection, its threads, its end.

Started by an engine with one end of a connection. When the coordinator is gone the process ends at
once: everything it keeps is written atomically, so there is nothing to tidy but what it was about
to write.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from concord.base.clock import SystemClock
from concord.base.errors import ConcordError, InternalError
from concord.base.files import name_no_more
from concord.charter.document import Document
from concord.federation.folders import MemberFolder
from concord.federation.frames import ConnectionLost, Frame, Payload, receive_frame, send_frame
from concord.federation.member.session import MemberSession
from concord.federation.messages import TO_MEMBER, Failed, decode_message, encode_message

MAX_PAYLOAD_BYTES = 1 << 36
"""Above every base that one machine could hold; a member's own disk is the narrower bound."""
GONE_STATUS = 3
FAILED_STATUS = 4


def main(stream: socket.socket, folder: Path) -> None:
    """Run one member until the coordinator says it is over or goes away."""
    os.umask(0o077)
    _one_thread()
    member = MemberFolder(folder)
    spool = member.open_private("incoming")
    for leftover in spool.iterdir():
        leftover.unlink()
    inbox: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(stream, member, spool, inbox.put), daemon=True)
    reader.start()

    outgoing = Outgoing(stream, lost=lambda: _leave(member))
    send = outgoing.put

    def lose(failed: Failed | None) -> None:
        if failed is not None:
            _tell(send, failed)
            outgoing.drain()
        _leave(member)

    session = MemberSession(member, send, lambda: not inbox.empty(), SystemClock(), on_loss=lose)
    try:
        _serve(session, inbox)
        session.close()
        outgoing.drain()
    except ConnectionLost:
        _leave(member)
    except ConcordError as error:
        _tell(send, _failed(error))
        outgoing.drain()
        sys.exit(FAILED_STATUS)
    except Exception as error:  # noqa: BLE001 - the boundary: no traceback, no text leaves
        # The message of a foreign error may quote text; only its type is told.
        _tell(send, _failed(InternalError(f"the member failed with {type(error).__name__}")))
        outgoing.drain()
        sys.exit(FAILED_STATUS)


def _serve(session: MemberSession, inbox: queue.SimpleQueue[Frame]) -> None:
    going = True
    while going:
        if inbox.empty():
            session.use_idle_time()
        frame = inbox.get()
        message = decode_message(TO_MEMBER, frame.message, sender="coordinator")
        going = session.handle(message, frame)


class Outgoing:
    """Sends frames from a thread of its own: on a slow link, training does not wait for it.

    Args:
        lost: Called from that thread when the coordinator is gone, or a payload cannot be read: a
            member that went on without sending would wait for ever.
    """

    def __init__(self, stream: socket.socket, *, lost: Callable[[], None]) -> None:
        self._stream, self._lost = stream, lost
        self._frames: queue.SimpleQueue[tuple[bytes, Payload] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def put(self, message: Document, payload: Payload = None) -> None:
        """Queue a frame; a payload file must stay as it is until the next is queued."""
        self._frames.put((encode_message(message), payload))

    def drain(self) -> None:
        """Wait until all is sent; nothing can be queued afterwards."""
        self._frames.put(None)
        self._thread.join()

    def _send(self) -> None:
        while (frame := self._frames.get()) is not None:
            try:
                send_frame(self._stream, *frame)
            except (ConnectionLost, OSError):
                self._lost()


def _read(
    stream: socket.socket, member: MemberFolder, spool: Path, put: Callable[[Frame], None]
) -> None:
    try:
        while True:
            put(receive_frame(stream, spool, max_payload_bytes=MAX_PAYLOAD_BYTES))
    except (ConnectionLost, ConcordError, OSError):
        _leave(member)


def _leave(member: MemberFolder) -> NoReturn:
    """End at once, whatever the other thread does; what it was writing is removed."""
    name_no_more()
    with suppress(OSError):
        for torn in member.private.rglob(".*.part"):
            torn.unlink(missing_ok=True)
    os._exit(GONE_STATUS)


def _tell(send: Callable[[Document], None], failed: Failed) -> None:
    # Without a connection nobody is there to be told.
    with suppress(ConnectionLost):
        send(failed)


def _failed(error: ConcordError) -> Failed:
    return Failed(code=error.code, message=str(error)[:2000])


def _one_thread() -> None:
    """One thread per member process: more would fight over the cores, a threefold waste."""
    import torch

    torch.set_num_threads(1)

"""A link: one member's socket with a thread for each direction, so that nobody blocks the others.

A member that hangs blocks only its own two threads. What comes in is put on the engine's queue;
what goes out waits on the link's own.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from concord.base.errors import ConcordError, StorageError
from concord.federation.engine.allowance import Allowance
from concord.federation.engine.interface import Event, Lost, Received, Traffic
from concord.federation.frames import (
    PREFIX,
    ConnectionLost,
    Frame,
    Pace,
    Payload,
    frame_bytes,
    receive_frame,
    send_frame,
)


class Link:
    """The coordinator's end of one member's connection.

    Args:
        member: Whose connection it is.
        stream: A connected socket, owned from now on.
        spool: Folder for payloads.
        max_payload_bytes: Asked anew for each frame.
        emit: Takes events, and errors of our own disk; called from the link's threads.
        traffic: Counter to add to.
        pace: How slowly a frame may come once it has begun.
    """

    def __init__(
        self,
        member: str,
        stream: socket.socket,
        *,
        spool: Path,
        max_payload_bytes: Callable[[], int],
        emit: Callable[[Event | StorageError], None],
        traffic: Traffic,
        pace: Pace | None = None,
    ) -> None:
        self._pace = Pace() if pace is None else pace
        self._allowance = Allowance(time.monotonic())
        self.member = member
        self._stream = stream
        self._spool = spool
        self._max_payload_bytes = max_payload_bytes
        self._emit = emit
        self._traffic = traffic
        self._outgoing: queue.SimpleQueue[tuple[bytes, Payload] | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._end_lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._read, name=f"read-{member}", daemon=True),
            threading.Thread(target=self._write, name=f"write-{member}", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def send(self, message: bytes, payload: Payload) -> None:
        """Queue a frame; returns at once."""
        if not self._ended.is_set():
            self._allowance.asked()
            self._traffic.down_bytes += frame_bytes(message, payload)
            self._outgoing.put((message, payload))

    def end(self, reason: str, *, announce: bool = True) -> None:
        """Close the connection, once."""
        with self._end_lock:
            if self._ended.is_set():
                return
            self._ended.set()
        self._outgoing.put(None)
        with suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)
        if announce:
            self._emit(Lost(self.member, reason, final=False))

    def join(self, timeout_s: float) -> None:
        """Wait for both threads and release the socket."""
        for thread in self._threads:
            thread.join(timeout_s)
        self._stream.close()

    def drain(self, timeout_s: float) -> None:
        """Let queued frames go out before the end."""
        self._outgoing.put(None)
        self._threads[1].join(timeout_s)

    def _read(self) -> None:
        try:
            while not self._ended.is_set():
                frame = receive_frame(
                    self._stream,
                    self._spool,
                    max_payload_bytes=self._max_payload_bytes(),
                    pace=self._pace,
                )
                self._spend(frame)
                payload_bytes = frame.payload.stat().st_size if frame.payload else 0
                self._traffic.up_bytes += PREFIX.size + len(frame.message) + payload_bytes
                self._emit(Received(self.member, frame))
        except ConnectionLost:
            self.end("its connection ended")
        except StorageError as error:
            self._emit(error)
        except (ConcordError, OSError) as error:
            self.end(str(error))

    def _spend(self, frame: Frame) -> None:
        try:
            self._allowance.spend(payload=frame.payload is not None, now_s=time.monotonic())
        except ConcordError:
            frame.drop_payload()
            raise

    def _write(self) -> None:
        while (item := self._outgoing.get()) is not None:
            message, payload = item
            try:
                send_frame(self._stream, message, payload)
            except ConnectionLost:
                self.end("its connection ended")
                return
            except OSError as error:
                self.end(f"could not be sent to: {error.strerror}")
                return

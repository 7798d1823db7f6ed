"""Frames: one message and its payload as bytes on a stream, with limits on both.

    frame = magic "CNC1" | header length, u32 LE | payload length, u64 LE | header | payload

The payload goes straight to a spool file, so that memory does not grow with its size.
"""

from __future__ import annotations

import secrets
import select
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from concord.base.digest import Digest, digest_file
from concord.base.errors import MessageRefused
from concord.base.files import storage_errors
from concord.federation.messages import MAX_MESSAGE_BYTES

MAGIC = b"CNC1"
PREFIX = struct.Struct("<4sIQ")
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Pace:
    """How slowly a frame may come, once its first byte is there.

    Nobody waits for a member by reading, so a slow one delays itself alone; but its half-sent frame
    would hold a file and a thread for ever.
    """

    idle_s: float = 30.0
    """Longest pause within a frame."""
    least_bytes_per_s: float = 1000.0
    """A frame may take `idle_s` and, for each of its bytes, as long as this rate needs."""


class ConnectionLost(Exception):
    """The other side is gone. Never reaches a user: engines turn it into a lost member."""


@dataclass(frozen=True)
class Frame:
    """A received message and where its payload lies, if it has one. The receiver owns the file."""

    message: bytes
    payload: Path | None

    def read_payload(self) -> bytes:
        """The payload's bytes; the spool file is removed."""
        if self.payload is None:
            return b""
        data = self.payload.read_bytes()
        self.payload.unlink()
        return data

    def drop_payload(self) -> None:
        """Remove the spool file of a payload that nobody wants."""
        if self.payload is not None:
            self.payload.unlink(missing_ok=True)

    def payload_digest(self) -> Digest | None:
        return None if self.payload is None else digest_file(self.payload)


Payload = bytes | Path | None


def frame_bytes(message: bytes, payload: Payload = None) -> int:
    """Length of a frame."""
    return PREFIX.size + len(message) + _payload_bytes(payload)


def send_frame(stream: socket.socket, message: bytes, payload: Payload = None) -> None:
    """Send a frame.

    Raises:
        ConnectionLost: the other side is gone.
    """
    size = _payload_bytes(payload)
    try:
        stream.sendall(PREFIX.pack(MAGIC, len(message), size) + message)
        if isinstance(payload, Path):
            with payload.open("rb") as file:
                stream.sendfile(file)
        elif payload:
            stream.sendall(payload)
    except OSError as error:
        raise ConnectionLost(str(error)) from error


def _payload_bytes(payload: Payload) -> int:
    if payload is None:
        return 0
    return payload.stat().st_size if isinstance(payload, Path) else len(payload)


def receive_frame(
    stream: socket.socket, spool: Path, *, max_payload_bytes: int, pace: Pace | None = None
) -> Frame:
    """Receive the next frame, its payload into a new file in `spool`.

    Args:
        pace: How slowly it may come; without it, however slowly.

    Raises:
        ConnectionLost: the other side is gone.
        MessageRefused: the frame is not one, is larger than agreed, or comes too slowly.
        StorageError: the spool folder is full.
    """
    first = _some(stream, 1, None)
    clock = None if pace is None else _FrameClock(pace, time.monotonic())
    prefix = first + _receive(stream, PREFIX.size - 1, clock)
    magic, message_bytes, payload_bytes = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise MessageRefused("not a frame of this protocol", remedy="use one version on all sides")
    if message_bytes > MAX_MESSAGE_BYTES or payload_bytes > max_payload_bytes:
        raise MessageRefused(
            f"frame of {message_bytes:,} + {payload_bytes:,} bytes is larger than agreed"
            f" ({MAX_MESSAGE_BYTES:,} + {max_payload_bytes:,})"
        )
    if clock is not None:
        clock.expect(message_bytes + payload_bytes)
    message = _receive(stream, message_bytes, clock)
    if not payload_bytes:
        return Frame(message, None)
    path = spool / f"{secrets.token_hex(8)}.frame"
    try:
        _spool(stream, path, payload_bytes, clock)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Frame(message, path)


class _FrameClock:
    """Until when the next bytes of a frame have to come."""

    def __init__(self, pace: Pace, began_s: float) -> None:
        self._pace = pace
        self._deadline_s = began_s + pace.idle_s

    def expect(self, size: int) -> None:
        self._deadline_s += size / self._pace.least_bytes_per_s

    def wait(self, stream: socket.socket) -> None:
        """Wait until there is something to read.

        Raises:
            MessageRefused: nothing came in time.
        """
        left_s = min(self._pace.idle_s, self._deadline_s - time.monotonic())
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        if left_s <= 0 or not poll.poll(1000 * left_s):
            raise MessageRefused("a frame came too slowly, or stopped in the middle")


def _receive(stream: socket.socket, size: int, clock: _FrameClock | None) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = _some(stream, size - len(data), clock)
        data += chunk
    return bytes(data)


def _spool(stream: socket.socket, path: Path, size: int, clock: _FrameClock | None) -> None:
    with storage_errors(path), path.open("xb") as file:
        path.chmod(0o600)
        while size:
            chunk = _some(stream, size, clock)
            file.write(chunk)
            size -= len(chunk)


def _some(stream: socket.socket, most: int, clock: _FrameClock | None) -> bytes:
    try:
        if clock is not None:
            clock.wait(stream)
        chunk = stream.recv(min(most, CHUNK_BYTES))
    except (OSError, ValueError) as error:  # ValueError: polled when it was closed
        raise ConnectionLost(str(error)) from error
    if not chunk:
        raise ConnectionLost("end of stream")
    return chunk

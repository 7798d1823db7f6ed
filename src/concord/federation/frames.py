"""Frames: one message and its payload as bytes on a stream, with limits on both.

    frame = magic "CNC1" | header length, u32 LE | payload length, u64 LE | header | payload

The payload goes straight to a spool file, so that memory does not grow with its size.
"""

from __future__ import annotations

import secrets
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from concord.base.digest import Digest, digest_file
from concord.base.errors import MessageRefused
from concord.base.files import storage_errors
from concord.federation.messages import MAX_MESSAGE_BYTES

MAGIC = b"CNC1"
PREFIX = struct.Struct("<4sIQ")
CHUNK_BYTES = 1 << 20


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


def receive_frame(stream: socket.socket, spool: Path, *, max_payload_bytes: int) -> Frame:
    """Receive the next frame, its payload into a new file in `spool`.

    Raises:
        ConnectionLost: the other side is gone.
        MessageRefused: the frame is not one, or is larger than agreed.
        StorageError: the spool folder is full.
    """
    magic, message_bytes, payload_bytes = PREFIX.unpack(_receive(stream, PREFIX.size))
    if magic != MAGIC:
        raise MessageRefused("not a frame of this protocol", remedy="use one version on all sides")
    if message_bytes > MAX_MESSAGE_BYTES or payload_bytes > max_payload_bytes:
        raise MessageRefused(
            f"frame of {message_bytes:,} + {payload_bytes:,} bytes is larger than agreed"
            f" ({MAX_MESSAGE_BYTES:,} + {max_payload_bytes:,})"
        )
    message = _receive(stream, message_bytes)
    if not payload_bytes:
        return Frame(message, None)
    path = spool / f"{secrets.token_hex(8)}.frame"
    try:
        _spool(stream, path, payload_bytes)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Frame(message, path)


def _receive(stream: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = _some(stream, size - len(data))
        data += chunk
    return bytes(data)


def _spool(stream: socket.socket, path: Path, size: int) -> None:
    with storage_errors(path), path.open("xb") as file:
        path.chmod(0o600)
        while size:
            chunk = _some(stream, size)
            file.write(chunk)
            size -= len(chunk)


def _some(stream: socket.socket, most: int) -> bytes:
    try:
        chunk = stream.recv(min(most, CHUNK_BYTES))
    except OSError as error:
        raise ConnectionLost(str(error)) from error
    if not chunk:
        raise ConnectionLost("end of stream")
    return chunk

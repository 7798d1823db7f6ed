"""What every engine gives a coordinator: events from members, and sends that never block.

The coordinator holds all of the round's logic; an engine carries bytes, notices who comes and
goes, and counts what crossed. One suite of tests runs against every engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from concord.charter.document import Document
from concord.federation.frames import Frame, Payload


@dataclass(frozen=True)
class Joined:
    """A member is connected; its process may be new."""

    member: str


@dataclass(frozen=True)
class Lost:
    """A member's connection ended, or it sent what no honest member sends."""

    member: str
    reason: str
    final: bool
    """True if the engine will not try to bring the member back."""


@dataclass(frozen=True)
class Received:
    """A frame came from a member. Its message is unchecked."""

    member: str
    frame: Frame


Event = Joined | Lost | Received


@dataclass
class Traffic:
    """Bytes that crossed a member's boundary, frames and all."""

    up_bytes: int = 0
    down_bytes: int = 0


class Engine(Protocol):
    """Carries messages between one coordinator and its members."""

    max_payload_bytes: int
    """No payload of a member may be larger. The coordinator lowers it when it knows how large an
    update can be. A frame over it, too slow, or one too many (`allowance`) MUST end the connection
    before it is kept."""

    def start(self) -> None:
        """Begin to connect members. MUST be called once, before anything else."""

    def send(self, member: str, message: Document, payload: Payload = None) -> None:
        """Queue a message. MUST NOT block; to a lost member it does nothing.

        A payload file MUST stay in place until the run ends or `discard` says otherwise.
        """

    def next_event(self, timeout_s: float) -> Event | None:
        """Wait for the next event, or return None after `timeout_s`.

        Raises:
            StorageError: what came could not be kept; it is not the member's fault.
        """

    def disconnect(self, member: str, reason: str) -> None:
        """Cut a member off; it may come back as a new connection."""

    def traffic(self, member: str) -> Traffic:
        """What has crossed so far, both ways."""

    def stop(self) -> None:
        """End all connections and, where the engine started them, all processes."""

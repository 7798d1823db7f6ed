"""The embedded engine: one operating-system process per member, everything crossing as bytes.

No ports and no set-up: each member talks over a socket pair of its own. Processes are forked from
one small server that has already loaded the libraries, so that twelve members start as fast as
one. A member that dies is started again after a pause, a few times; what it does next is the
coordinator's business.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from concord.base.files import private_folder
from concord.charter.document import Document
from concord.federation.engine.event_queue import EventQueue
from concord.federation.engine.hosting import (
    Hosted,
    MemberMain,
    Nursery,
    interrupts_held_back,
)
from concord.federation.engine.interface import Event, Joined, Lost, Traffic
from concord.federation.engine.links import Link
from concord.federation.frames import Payload
from concord.federation.messages import Encoder

STOP_S = 3.0


@dataclass
class _Seat:
    folder: Path
    hosted: Hosted | None = None
    link: Link | None = None
    starts: int = 0
    traffic: Traffic = field(default_factory=Traffic)


class LocalEngine:
    """Members as child processes of this machine.

    Args:
        members: Folder of each member, by id.
        main: What a member's process runs: `concord.federation.member.process.main`.
        spool: Folder for what is received; emptied at the start.
        max_payload_bytes: Limit of a member's payload; may be lowered while running.
        preload: Modules that the fork server loads once for all.
        max_restarts: How often a dead member is started again.
        restart_pause_s: Pause before a restart; doubles each time.
    """

    def __init__(
        self,
        members: Mapping[str, Path],
        main: MemberMain,
        *,
        spool: Path,
        max_payload_bytes: int,
        preload: tuple[str, ...] = (),
        max_restarts: int = 3,
        restart_pause_s: float = 0.5,
    ) -> None:
        self._seats = {member: _Seat(folder) for member, folder in members.items()}
        self._spool = private_folder(spool)
        self.max_payload_bytes = max_payload_bytes
        self._max_restarts = max_restarts
        self._restart_pause_s = restart_pause_s
        self._events = EventQueue()
        self._stopping = threading.Event()
        self._nursery = Nursery(main, preload)
        self._encode = Encoder()

    def start(self) -> None:
        for leftover in self._spool.glob("*.frame"):
            leftover.unlink()
        with interrupts_held_back():
            for member in self._seats:
                self._start_member(member)

    def send(self, member: str, message: Document, payload: Payload = None) -> None:
        link = self._seats[member].link
        if link is not None:
            link.send(self._encode(message), payload)

    def next_event(self, timeout_s: float) -> Event | None:
        event = self._events.next(timeout_s)
        return self._after_loss(event) if isinstance(event, Lost) else event

    def disconnect(self, member: str, reason: str) -> None:
        link = self._seats[member].link
        if link is not None:
            link.end(reason)

    def traffic(self, member: str) -> Traffic:
        return self._seats[member].traffic

    def process_ids(self) -> dict[str, int]:
        """Process id of each member that runs."""
        return {
            member: seat.hosted.process.pid
            for member, seat in self._seats.items()
            if seat.hosted is not None and seat.hosted.process.pid is not None
        }

    def stop(self) -> None:
        """Let what is queued go out, close all connections, and end who does not end by itself.

        A member whose connection closes ends at once; only one that hangs has to be killed.
        """
        self._stopping.set()
        deadline_s = time.monotonic() + STOP_S
        links = [seat.link for seat in self._seats.values() if seat.link is not None]
        for link in links:
            link.drain(max(0.0, deadline_s - time.monotonic()))
        for link in links:
            link.end("stopped", announce=False)
        deadline_s = time.monotonic() + STOP_S
        for seat in self._seats.values():
            if seat.hosted is not None:
                seat.hosted.process.join(max(0.0, deadline_s - time.monotonic()))
            self._end_seat(seat)

    def _start_member(self, member: str) -> None:
        seat = self._seats[member]
        seat.hosted = self._nursery.start(member, seat.folder)
        seat.starts += 1
        seat.link = Link(
            member,
            seat.hosted.stream,
            spool=self._spool,
            max_payload_bytes=lambda: self.max_payload_bytes,
            emit=self._events.put,
            traffic=seat.traffic,
        )
        self._events.put(Joined(member))

    def _after_loss(self, lost: Lost) -> Lost:
        """End what is left of a lost member, and start it again unless it failed too often."""
        seat = self._seats[lost.member]
        self._end_seat(seat)
        again = seat.starts <= self._max_restarts and not self._stopping.is_set()
        if again:
            pause_s = self._restart_pause_s * 2 ** (seat.starts - 1)
            timer = threading.Timer(pause_s, self._restart, [lost.member])
            timer.daemon = True
            timer.start()
        return Lost(lost.member, lost.reason, final=not again)

    def _restart(self, member: str) -> None:
        if not self._stopping.is_set():
            self._start_member(member)

    def _end_seat(self, seat: _Seat) -> None:
        if seat.hosted is not None:
            seat.hosted.end(STOP_S)
            seat.hosted = None
        if seat.link is not None:
            seat.link.end("stopped", announce=False)
            seat.link.join(STOP_S)
            seat.link = None

"""The coordinator's end: members in other places, each on a line of its own.

Nobody is called. A member says hello once its process is ready to receive, and is told to wait
until this coordinator is in charge; a line that falls silent is ended. What is lost with a line the
round does without: who comes back says hello under a new session and is seated again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from concord.base.errors import MessageRefused
from concord.base.files import private_folder
from concord.charter.document import Document
from concord.federation.engine.allowance import Allowance
from concord.federation.engine.event_queue import EventQueue
from concord.federation.engine.flare.counting import CountedWire
from concord.federation.engine.flare.fetching import Fetcher, Ranges
from concord.federation.engine.flare.line import Limits, Line, answer_lines, answered
from concord.federation.engine.flare.offers import KnownDigests, Offers
from concord.federation.engine.flare.wire import NoWay, Unreachable, Wire
from concord.federation.engine.flare.words import (
    Beat,
    Hello,
    Welcome,
    pack,
)
from concord.federation.engine.interface import Event, Joined, Lost, Received, Traffic
from concord.federation.frames import Frame, Pace, Payload
from concord.federation.messages import Encoder
from concord.federation.sites.protocol import check_protocol

SILENCE_S = 30.0
QUIET_S = 4.0
"""Two beats of a member: then it is asked itself."""
LOOK_S = 1.0
ASK_S = (1.0, 2.0, 5.0)
"""How long a silent member may take to answer: of one that was killed a first question may be lost
with its connection, and the next one finds no way; on a thin link an answer waits for others."""
STOP_S = 3.0


@dataclass
class _Seen:
    session: str
    at_s: float


class FlareEngine:
    """Members behind a wire.

    Args:
        wire: The way to them.
        members: Who may come.
        spool: Folder for what is received; unfinished payloads in it are gone on with.
        max_payload_bytes: Limit of a member's payload; may be lowered while running.
        pace: How slowly a payload may come.
        ranges: How much of one is asked for at once.
        silence_s: How long a member may say nothing before it counts as lost.
        quiet_s: How long it may say nothing before it is asked.
        look_s: How often members are looked after.
        stop_s: How long the end waits for what is queued, and then for each line to end.
    """

    def __init__(
        self,
        wire: Wire,
        members: Iterable[str],
        *,
        spool: Path,
        max_payload_bytes: int,
        pace: Pace | None = None,
        ranges: Ranges | None = None,
        silence_s: float = SILENCE_S,
        quiet_s: float = QUIET_S,
        look_s: float = LOOK_S,
        stop_s: float = STOP_S,
    ) -> None:
        self.max_payload_bytes = max_payload_bytes
        self._wire = CountedWire(wire)
        self._members = frozenset(members)
        self._spool = private_folder(spool)
        self._fetcher = Fetcher(self._spool, pace=pace, ranges=ranges)
        self._known = KnownDigests()
        self._encode = Encoder()
        self._silence_s = silence_s
        self._quiet_s = quiet_s
        self._look_s = look_s
        self._stop_s = stop_s
        self._lines: dict[str, Line] = {}
        self._lock = threading.RLock()
        self._events = EventQueue()
        self._open = threading.Event()
        self._stopping = threading.Event()
        self._seen: dict[str, _Seen] = {}
        self._asked: set[str] = set()
        self._watch = threading.Thread(target=self._look_after, name="silence", daemon=True)
        self._wire.answer("hello", self._hello)
        answer_lines(self._wire, self._on)

    # --- Engine -----------------------------------------------------------------------------

    def start(self) -> None:
        self._fetcher.forget()
        self._watch.start()
        self._open.set()

    def send(self, member: str, message: Document, payload: Payload = None) -> None:
        line = self._lines.get(member)
        if line is not None:
            line.send(self._encode(message), payload)

    def next_event(self, timeout_s: float) -> Event | None:
        return self._events.next(timeout_s)

    def disconnect(self, member: str, reason: str) -> None:
        line = self._lines.get(member)
        if line is not None:
            line.end(reason, cause="refused")

    def traffic(self, member: str) -> Traffic:
        return self._wire.traffic(member)

    def stop(self) -> None:
        """Let what is queued arrive, then end all lines."""
        deadline_s = time.monotonic() + self._stop_s
        lines = list(self._lines.values())
        for line in lines:
            line.drain(max(0.0, deadline_s - time.monotonic()))
        self._stopping.set()
        for line in lines:
            line.end("stopped", announce=False, cause="over")
        deadline_s = time.monotonic() + self._stop_s
        for line in lines:
            line.join(max(0.0, deadline_s - time.monotonic()))

    # --- for who runs it --------------------------------------------------------------------

    def waiting(self, within_s: float) -> set[str]:
        """Members that said hello within the last seconds, or are connected."""
        now_s = time.monotonic()
        with self._lock:
            waits = {member for member, seen in self._seen.items() if now_s - seen.at_s < within_s}
            return waits | {member for member, line in self._lines.items() if not line.ended}

    # --- questions --------------------------------------------------------------------------

    def _hello(self, peer: str, question: memoryview) -> bytes:
        return answered(Hello, question, peer, lambda hello, _: pack(self._welcome(peer, hello)))

    def _welcome(self, peer: str, hello: Hello) -> Welcome:
        if peer not in self._members:
            return Welcome(state="refused", reason="is not in the roster of this run")
        try:
            check_protocol(hello.protocol, who="the member")
        except MessageRefused as error:
            return Welcome(state="refused", reason=str(error)[:300])
        with self._lock:
            self._seen[peer] = _Seen(hello.session, time.monotonic())
            if not self._open.is_set() or self._stopping.is_set():
                return Welcome(state="wait")
            line = self._lines.get(peer)
            if line is not None and line.session == hello.session:
                return Welcome(state="wait" if line.ended else "go")
            if line is not None:
                line.end("it started anew")
            self._lines[peer] = self._line(peer, hello.session)
            self._events.put(Joined(peer))
            return Welcome(state="go")

    def _line(self, peer: str, session: str) -> Line:
        def emit(frame: Frame) -> None:
            self._events.put(Received(peer, frame))

        def lost(reason: str) -> None:
            self._events.put(Lost(peer, reason, final=False))

        return Line(
            self._wire,
            peer,
            session,
            fetcher=self._fetcher,
            offers=Offers(self._known),
            limits=Limits(lambda: self.max_payload_bytes, Allowance(time.monotonic())),
            emit=emit,
            lost=lost,
            failed=self._events.put,
        )

    def _on(self, peer: str, session: str) -> Line | None:
        line = self._lines.get(peer)
        return line if line is not None and line.session == session else None

    def _look_after(self) -> None:
        """End the lines of members that are gone."""
        while not self._stopping.wait(self._look_s):
            for line in list(self._lines.values()):
                silent_s = time.monotonic() - line.last_heard_s
                if silent_s > self._silence_s:
                    line.end("nothing was heard of it any more")
                elif silent_s > self._quiet_s and not line.ended and not self._asks(line):
                    threading.Thread(target=self._ask_whether, args=(line,), daemon=True).start()

    def _asks(self, line: Line) -> bool:
        with self._lock:
            asked = line.session in self._asked
            self._asked.add(line.session)
            return asked

    def _ask_whether(self, line: Line) -> None:
        """Ask a silent member itself: the connection to a killed one is closed long before."""
        beat = pack(Beat(session=line.session))
        for last_s in ASK_S:
            try:
                self._wire.ask(line.peer, "beat", beat, last_s)
            except NoWay:
                line.end("it cannot be reached any more")
            except Unreachable:
                if time.monotonic() - line.last_heard_s > self._quiet_s:
                    continue
            else:
                line.beat()
            break
        else:
            line.end("it cannot be reached any more")
        with self._lock:
            self._asked.discard(line.session)

"""A member's seat in a job: its own process, and the line that joins it to the coordinator.

The process that FLARE started holds neither text nor network: it passes frames between the
member's process and the line. If the member's process dies, or the coordinator gave the line up,
both start anew within the same job. What has come of a large payload stays.

    hello … wait, wait, go ─► take the member's lock ─► start its process ─► pass frames both ways
      ▲                                                                        │
      └──────── pause ◄──── end both ◄──── either is gone ◄────────────────────┘
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from concord.base.errors import ConcordError, MessageRefused, StorageError
from concord.base.files import storage_errors
from concord.base.locks import Held, locked
from concord.federation.engine.flare.fetching import Fetcher, Ranges
from concord.federation.engine.flare.line import Limits, Line, answer_lines
from concord.federation.engine.flare.offers import KnownDigests, Offers
from concord.federation.engine.flare.wire import Unreachable, Wire
from concord.federation.engine.flare.words import (
    Beat,
    Cause,
    Heard,
    Hello,
    Welcome,
    pack,
    unpack,
)
from concord.federation.frames import ConnectionLost, Frame, receive_frame, send_frame
from concord.federation.sites.protocol import PROTOCOL

GREET_S = 0.25
BEAT_S = 2.0
SILENCE_S = 30.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
GOOD_S = 60.0
"""Who ran this long starts again at once."""
ASK_S = 10.0
END_S = 3.0
LOOK_S = 0.05
MAX_PAYLOAD_BYTES = 1 << 36


class Process(Protocol):
    """A member's process, and this end of its connection."""

    stream: socket.socket

    def end(self, patience_s: float) -> None:
        """Kill it if it still runs, and release what it held."""


class Refused(Exception):
    """The coordinator does not want this member, and says why."""


class Seat:
    """A member's end.

    Args:
        wire: The way to the coordinator.
        coordinator: Its name on the wire.
        folder: The member's private folder, for the spool and the lock.
        start: Starts the member's process; called in the seat's thread.
        warm: Called before the first hello: whoever says hello is ready.
        ranges: How much of a payload is asked for at once.
        note: Takes what happened, in words that hold nothing of the member's.
        first_pause_s: After the first end, before it starts again; grows from there.
        beat_s: How often it tells that it is there.
    """

    def __init__(
        self,
        wire: Wire,
        coordinator: str,
        folder: Path,
        start: Callable[[], Process],
        *,
        warm: Callable[[], None] = lambda: None,
        ranges: Ranges | None = None,
        note: Callable[[str], None] = lambda _: None,
        first_pause_s: float = FIRST_PAUSE_S,
        beat_s: float = BEAT_S,
    ) -> None:
        self._wire = wire
        self._coordinator = coordinator
        self._spool = folder / "transfers"
        self._lock_path = folder / "seat.lock"
        self._start = start
        self._warm = warm
        self._note = note
        self._fetcher = Fetcher(self._spool, ranges=ranges)
        self._known = KnownDigests()
        self._first_pause_s = first_pause_s
        self._beat_s = beat_s
        self._line: Line | None = None
        self._reason = ""
        self._over = threading.Event()
        self._stop = threading.Event()

    def serve(self) -> None:
        """Take part until the coordinator says that the segment is over, or `stop`.

        Raises:
            Refused: the coordinator says why this member has no seat.
            StorageError: the member's folder cannot be written.
        """
        with storage_errors(self._spool):
            self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        answer_lines(self._wire, self._on, left=self._left)
        self._warm()
        pause_s = self._first_pause_s
        while not self._done:
            began_s = time.monotonic()
            self._once()
            if time.monotonic() - began_s > GOOD_S:
                pause_s = self._first_pause_s
            if not self._done:
                self._note(f"starts again in {pause_s:.1f} s: {self._reason}")
                self._stop.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def stop(self) -> None:
        """End the line and the process; `serve` returns."""
        self._stop.set()
        line = self._line
        if line is not None:
            line.end("stopped", announce=False, cause="restarting")

    @property
    def _done(self) -> bool:
        return self._over.is_set() or self._stop.is_set()

    # --- one life ---------------------------------------------------------------------------

    def _once(self) -> None:
        """From hello to the end of either the line or the process."""
        self._fetcher.forget()
        running = threading.Event()
        life = _Life(running)
        session = secrets.token_hex(8)
        line = Line(
            self._wire,
            self._coordinator,
            session,
            fetcher=self._fetcher,
            offers=Offers(self._known),
            limits=Limits(lambda: MAX_PAYLOAD_BYTES),
            emit=life.to_process,
            lost=self._lost,
            failed=lambda error: self._note(str(error)),
        )
        self._line = line  # before hello: what comes right after it must find the line
        try:
            if not self._greet(session, line):
                return
            threading.Thread(target=self._beat, args=(line,), daemon=True).start()
            with _held(self._lock_path, lambda: line.ended or self._done) as mine:
                if mine:
                    self._run(line, life)
        finally:
            running.set()
            line.end("ended", announce=False, cause="restarting")
            line.join(END_S)

    def _run(self, line: Line, life: _Life) -> None:
        process = self._start()
        life.stream = process.stream
        life.running.set()
        reader = threading.Thread(target=self._pass_up, args=(process.stream, line), daemon=True)
        reader.start()
        try:
            _wait(float("inf"), lambda: line.ended or self._done)
        finally:
            with suppress(OSError):
                process.stream.shutdown(socket.SHUT_RDWR)
            reader.join(END_S)
            process.end(END_S)
            process.stream.close()

    def _pass_up(self, stream: socket.socket, line: Line) -> None:
        """Frames from the member's process to the coordinator."""
        cause: Cause = "restarting"
        try:
            while True:
                frame = receive_frame(stream, self._spool, max_payload_bytes=MAX_PAYLOAD_BYTES)
                line.send(frame.message, frame.payload, owned=True)
        except ConnectionLost:
            # What it said last is told first.
            line.drain(END_S)
        except StorageError as error:
            self._note(str(error))
            cause = "storage"
        except (ConcordError, OSError) as error:
            self._note(f"its process broke the protocol: {type(error).__name__}")
        line.end("its process ended", cause=cause)

    def _lost(self, reason: str) -> None:
        self._reason = reason

    # --- questions to the coordinator -------------------------------------------------------

    def _greet(self, session: str, line: Line) -> bool:
        """Say hello until there is a seat; False if there is none to wait for any more."""
        hello = pack(Hello(protocol=PROTOCOL, session=session))
        while not self._done and not line.ended:
            try:
                answer = self._wire.ask(self._coordinator, "hello", hello, ASK_S)
                welcome, _ = unpack(Welcome, answer, sender=self._coordinator)
            except (Unreachable, MessageRefused):
                self._stop.wait(GREET_S)
                continue
            if welcome.state == "go":
                return True
            if welcome.state == "refused":
                raise Refused(welcome.reason)
            self._stop.wait(GREET_S)
        return False

    def _beat(self, line: Line) -> None:
        """Tell now and then that this end is there; end the line if the other one is not."""
        beat = pack(Beat(session=line.session))
        while not line.ended and not self._done:
            try:
                answer = self._wire.ask(self._coordinator, "beat", beat, ASK_S)
                heard, _ = unpack(Heard, answer, sender=self._coordinator)
                if heard.state == "unknown":
                    line.end("the coordinator gave the line up")
                line.beat()
            except (Unreachable, MessageRefused):
                if time.monotonic() - line.last_heard_s > SILENCE_S:
                    line.end("the coordinator cannot be reached")
            _wait(self._beat_s, lambda: line.ended or self._done)

    # --- questions of the coordinator -------------------------------------------------------

    def _on(self, peer: str, session: str) -> Line | None:
        line = self._line
        mine = line is not None and (peer, session) == (self._coordinator, line.session)
        return line if mine else None

    def _left(self, cause: Cause) -> None:
        if cause == "over":
            self._over.set()


class _Life:
    """Frames on their way to the member's process, which may not be there yet."""

    def __init__(self, running: threading.Event) -> None:
        self.running = running
        self.stream: socket.socket | None = None

    def to_process(self, frame: Frame) -> None:
        self.running.wait()
        try:
            if self.stream is not None:
                # Without a process nobody is there to be told: the other thread notices.
                with suppress(ConnectionLost, OSError):
                    send_frame(self.stream, frame.message, frame.payload)
        finally:
            frame.drop_payload()


@contextmanager
def _held(path: Path, given_up: Callable[[], bool]) -> Iterator[bool]:
    """Hold a member's lock; whether it was had before `given_up`.

    The segment before this one may still be ending: two processes must not share the folder.
    """
    with ExitStack() as held:
        while not given_up():
            try:
                held.enter_context(locked(path, wait=False))
            except Held:
                time.sleep(LOOK_S)
            else:
                yield True
                return
        yield False


def _wait(seconds: float, given_up: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s and not given_up():
        time.sleep(LOOK_S)

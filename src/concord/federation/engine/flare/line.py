"""A line: one party's end of a connection with another, for the life of one member's process.

Messages are numbered and sent one after another, each until it is acknowledged; a repeated one is
acknowledged again and otherwise ignored. So a lost or a doubled question of the wire does no harm.
A small payload travels with its message; of a large one the message tells digest and length, and
the receiver fetches it at its own pace before it looks at the next message.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from concord.base.errors import ConcordError, MessageRefused, StorageError
from concord.federation.engine.allowance import Allowance
from concord.federation.engine.flare.fetching import Fetcher, Stopped
from concord.federation.engine.flare.offers import Offers
from concord.federation.engine.flare.wire import Unreachable, Wire
from concord.federation.engine.flare.words import (
    CAUSES,
    OK,
    UNKNOWN,
    Beat,
    Bye,
    Cause,
    Fetch,
    Heard,
    Offer,
    OfLine,
    Say,
    Took,
    Word,
    pack,
    unpack,
)
from concord.federation.frames import Frame, Payload
from concord.federation.messages import MAX_MESSAGE_BYTES

INLINE_BYTES = 1 << 20
ANSWER_S = 20.0
"""An answer lost with a link is waited for so long; less than a payload may stand still."""
PATIENCE_S = 20.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
LineWord = TypeVar("LineWord", bound=OfLine)


@dataclass(frozen=True)
class Limits:
    """What one end lets the other do.

    `allowance` is None where the other end is trusted to send what it likes: the coordinator's.
    """

    max_payload_bytes: Callable[[], int]
    allowance: Allowance | None = None
    patience_s: float = PATIENCE_S
    """How long an unanswered message is sent again before the peer counts as lost."""


@dataclass(frozen=True)
class _Outgoing:
    message: bytes
    payload: Payload
    owned: bool = False


@dataclass(frozen=True)
class _Incoming:
    message: bytes
    payload: bytes | Offer | None
    number: int


@dataclass
class _Progress:
    expected: int = 0
    unsent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Line:
    """One end of a line.

    Args:
        wire: The way to the peer.
        peer: The name under which it was admitted.
        session: What tells this line from earlier ones with the same peer.
        fetcher: Brings large payloads.
        offers: What this end offers; the line owns it.
        limits: What the peer may do.
        emit: Takes frames in order, from the line's own thread.
        lost: Told once why the line ended, unless this side ended it silently.
        failed: Takes errors of our own disk.
    """

    def __init__(
        self,
        wire: Wire,
        peer: str,
        session: str,
        *,
        fetcher: Fetcher,
        offers: Offers,
        limits: Limits,
        emit: Callable[[Frame], None],
        lost: Callable[[str], None],
        failed: Callable[[StorageError], None],
    ) -> None:
        self.peer = peer
        self.session = session
        self.last_heard_s = time.monotonic()
        self._wire = wire
        self._fetcher = fetcher
        self._offers = offers
        self._limits = limits
        self._emit = emit
        self._lost = lost
        self._failed = failed
        self._outgoing: queue.SimpleQueue[_Outgoing | None] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[_Incoming | None] = queue.SimpleQueue()
        self._progress = _Progress()
        self._ended = threading.Event()
        self._end_lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._read, name=f"read-{peer}", daemon=True),
            threading.Thread(target=self._write, name=f"write-{peer}", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    # --- for the owner ----------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def send(self, message: bytes, payload: Payload = None, *, owned: bool = False) -> None:
        """Queue a message; returns at once.

        Args:
            owned: A payload file is deleted once the peer has it.
        """
        if self._ended.is_set():
            return
        if self._limits.allowance is not None:
            self._limits.allowance.asked()
        with self._progress.lock:
            self._progress.unsent += 1
        self._outgoing.put(_Outgoing(message, payload, owned))

    def end(self, reason: str, *, announce: bool = True, cause: Cause | None = None) -> None:
        """End the line, once.

        Args:
            announce: Tell the owner that the peer is lost.
            cause: Tell the peer why.
        """
        with self._end_lock:
            if self._ended.is_set():
                return
            self._ended.set()
        self._outgoing.put(None)
        self._incoming.put(None)
        self._offers.drop_all()
        if cause is not None:
            farewell = pack(Bye(session=self.session, cause=cause))
            threading.Thread(target=self._ask_once, args=("bye", farewell), daemon=True).start()
        if announce:
            self._lost(reason)

    def drain(self, timeout_s: float) -> None:
        """Wait until all that was sent has arrived."""
        deadline_s = time.monotonic() + timeout_s
        while (self._progress.unsent or self._offers.waiting) and not self._ended.wait(0.02):
            if time.monotonic() > deadline_s:
                return

    def join(self, timeout_s: float) -> None:
        """Wait for both threads of an ended line."""
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout_s)

    # --- for the peer's questions -----------------------------------------------------------

    def hear(self, say: Say, rest: memoryview) -> Heard:
        """A message came."""
        self.last_heard_s = time.monotonic()
        try:
            with self._progress.lock:
                if self._ended.is_set():
                    return UNKNOWN
                if say.number < self._progress.expected:
                    return OK
                self._check(say, rest)
                self._progress.expected += 1
                self._incoming.put(_split(say, rest))
        except MessageRefused as error:
            self.end(str(error), cause="refused")
            return UNKNOWN
        return OK

    def read_offer(self, fetch: Fetch) -> bytes | None:
        """The peer fetches a range."""
        self.last_heard_s = time.monotonic()
        return self._offers.read(fetch.number, fetch.start, fetch.length)

    def took(self, number: int) -> Heard:
        """The peer has a payload whole."""
        self.last_heard_s = time.monotonic()
        self._offers.drop(number)
        return OK

    def beat(self) -> Heard:
        self.last_heard_s = time.monotonic()
        return UNKNOWN if self._ended.is_set() else OK

    def _check(self, say: Say, rest: memoryview) -> None:
        if say.number != self._progress.expected:
            raise MessageRefused(f"message {say.number} came before {self._progress.expected}")
        inline = len(rest) - say.message_bytes
        if inline < 0 or (say.offer is not None and inline):
            raise MessageRefused("a message is not as long as it says")
        size = inline if say.offer is None else say.offer.bytes
        most = self._limits.max_payload_bytes()
        if say.message_bytes > MAX_MESSAGE_BYTES or size > most:
            raise MessageRefused(
                f"frame of {say.message_bytes:,} + {size:,} bytes is larger than agreed"
                f" ({MAX_MESSAGE_BYTES:,} + {most:,})"
            )
        if self._limits.allowance is not None:
            self._limits.allowance.spend(payload=size > 0, now_s=time.monotonic())

    # --- the two threads --------------------------------------------------------------------

    def _read(self) -> None:
        while (item := self._incoming.get()) is not None:
            try:
                self._emit(Frame(item.message, self._payload(item)))
            except Stopped:
                return
            except StorageError as error:
                self._failed(error)
                self.end(CANNOT_KEEP, cause="storage")
                return
            except ConcordError as error:
                self.end(str(error), cause="refused")
                return

    def _payload(self, item: _Incoming) -> Path | None:
        if item.payload is None:
            return None
        if isinstance(item.payload, bytes):
            return self._fetcher.keep_bytes(memoryview(item.payload))
        ask = partial(self._ask_range, item.number)
        path = self._fetcher.fetch(self.peer, item.payload, ask, self._ended.is_set)
        self._ask_once("took", pack(Took(session=self.session, number=item.number)))
        return path

    def _ask_range(self, number: int, start: int, length: int) -> memoryview | None:
        fetch = Fetch(session=self.session, number=number, start=start, length=length)
        try:
            answer = self._wire.ask(self.peer, "fetch", pack(fetch), ANSWER_S)
        except Unreachable:
            return None
        self.last_heard_s = time.monotonic()
        heard, data = unpack(Heard, answer, sender=self.peer)
        if heard.state != "ok":
            if self._ended.is_set():
                raise Stopped
            raise MessageRefused("what was offered is not there", where=self.peer)
        return data

    def _write(self) -> None:
        number = 0
        while (item := self._outgoing.get()) is not None:
            try:
                question = self._question(item, number)
            except OSError as error:
                self.end(f"could not be sent to: {error.strerror}", cause="storage")
                return
            if not self._deliver(question):
                return
            number += 1
            with self._progress.lock:
                self._progress.unsent -= 1

    def _question(self, item: _Outgoing, number: int) -> bytes:
        payload, offer = item.payload, None
        if isinstance(payload, Path) and payload.stat().st_size <= INLINE_BYTES:
            path, payload = payload, payload.read_bytes()
            if item.owned:
                path.unlink(missing_ok=True)
        if isinstance(payload, Path) or (payload is not None and len(payload) > INLINE_BYTES):
            offer = self._offers.put(number, payload, owned=item.owned)
            if self._ended.is_set():
                self._offers.drop_all()
            payload = None
        say = Say(session=self.session, number=number, message_bytes=len(item.message), offer=offer)
        return pack(say, item.message, payload or b"")

    def _deliver(self, question: bytes) -> bool:
        """Send until it is acknowledged; False if the line ended over it."""
        deadline_s = time.monotonic() + self._limits.patience_s
        pause_s = FIRST_PAUSE_S
        while not self._ended.is_set():
            heard = self._ask_once("say", question)
            if heard is not None:
                if heard.state == "unknown":
                    self.end("it started anew")
                return heard.state == "ok"
            if time.monotonic() > deadline_s:
                self.end("it cannot be reached")
                return False
            self._ended.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return False

    def _ask_once(self, topic: str, question: bytes) -> Heard | None:
        try:
            answer = self._wire.ask(self.peer, topic, question, ANSWER_S)
            return unpack(Heard, answer, sender=self.peer)[0]
        except (Unreachable, MessageRefused):
            return None


CANNOT_KEEP = "what it sent could not be kept"


def _split(say: Say, rest: memoryview) -> _Incoming:
    message, inline = bytes(rest[: say.message_bytes]), bytes(rest[say.message_bytes :])
    return _Incoming(message, say.offer if say.offer is not None else inline or None, say.number)


Find = Callable[[str, str], Line | None]
"""The line with a peer under a session; None if there is none (any more)."""


def answer_lines(wire: Wire, find: Find, *, left: Callable[[Cause], None] = lambda _: None) -> None:
    """Answer what both ends of a line are asked.

    Args:
        wire: On which it is asked.
        find: The line that is meant.
        left: Told why the peer ends a line, before it ends here.
    """

    def on(
        topic: str, kind: type[LineWord], handle: Callable[[Line, LineWord, memoryview], bytes]
    ) -> None:
        def answer(peer: str, question: memoryview) -> bytes:
            def handled(word: LineWord, rest: memoryview) -> bytes:
                line = find(peer, word.session)
                return pack(UNKNOWN) if line is None else handle(line, word, rest)

            return answered(kind, question, peer, handled)

        wire.answer(topic, answer)

    def fetch(line: Line, word: Fetch, _: memoryview) -> bytes:
        data = line.read_offer(word)
        return pack(UNKNOWN) if data is None else pack(OK, data)

    def bye(line: Line, word: Bye, _: memoryview) -> bytes:
        left(word.cause)
        line.end(CAUSES[word.cause])
        return pack(OK)

    on("say", Say, lambda line, word, rest: pack(line.hear(word, rest)))
    on("took", Took, lambda line, word, _: pack(line.took(word.number)))
    on("beat", Beat, lambda line, _, __: pack(line.beat()))
    on("fetch", Fetch, fetch)
    on("bye", Bye, bye)


def answered(
    kind: type[Word], question: memoryview, sender: str, handle: Callable[[Word, memoryview], bytes]
) -> bytes:
    """Answer a question; one that is not of the schema finds no line."""
    try:
        word, rest = unpack(kind, question, sender=sender)
    except MessageRefused:
        return pack(UNKNOWN)
    return handle(word, rest)

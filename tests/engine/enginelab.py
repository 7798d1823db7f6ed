"""The same small federation over any engine: members that echo, and misbehave when told to."""

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from concord.federation.engine.flare.engine import FlareEngine
from concord.federation.engine.flare.fetching import Ranges
from concord.federation.engine.flare.seat import BEAT_S, Seat
from concord.federation.engine.interface import Joined, Lost, Received
from concord.federation.engine.local import LocalEngine
from concord.federation.frames import ConnectionLost, Pace, receive_frame, send_frame
from concord.federation.messages import Committed, Progress, SendBase, encode_message
from concord.testing.memory_wire import Switchboard

MEMBERS = ("chad", "fiji")
DIGEST = "sha256:" + "a" * 64
COORDINATOR = "server"
RANGES = Ranges(bytes=64 << 10, per_payload=3)
MOST = 8 << 20


def ask(round_: int = 0) -> Committed:
    return Committed(
        round=round_, base_before=DIGEST, base=DIGEST, payload_digest=DIGEST, included={}
    )


def echo(stream: socket.socket, folder: Path) -> None:
    """A member that sends back what it got: `round` of the question says how.

    0: the payload; 1: end at once; 2: three messages in order; 3: far too many; n > 9: n bytes.
    """
    spool = folder / "private"
    spool.mkdir(exist_ok=True, parents=True)
    with suppress(ConnectionLost):
        _echo(stream, spool)


def _echo(stream: socket.socket, spool: Path) -> None:
    while True:
        frame = receive_frame(stream, spool, max_payload_bytes=1 << 40)
        data = frame.read_payload()
        if b"send_base" in frame.message:
            continue
        number = int(frame.message.split(b'"round":')[1].split(b"}")[0].split(b",")[0])
        if number == 1:
            return
        if number in (2, 3):
            for step in range(3 if number == 2 else 400):
                send_frame(stream, encode_message(Progress(round=0, steps=step, tokens=0)))
            continue
        payload = data or (b"\7" * number if number > 9 else None)
        send_frame(stream, encode_message(Progress(round=number, steps=0, tokens=0)), payload)


class ThreadMember:
    """A member as a thread of the test: its death is its connection's."""

    def __init__(self, folder: Path):
        self.stream, theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._main, args=(theirs, folder), daemon=True)
        self._thread.start()

    def _main(self, theirs, folder):
        with theirs:
            echo(theirs, folder)

    def end(self, patience_s):
        self._thread.join(patience_s)


class LocalRig:
    """Members as processes of this machine."""

    def __init__(self, root: Path, **options):
        self.root = root
        folders = {member: root / member for member in MEMBERS}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        self.engine = LocalEngine(
            folders,
            echo,
            spool=root / "spool",
            max_payload_bytes=options.get("most", MOST),
            preload=("concord.federation.engine.local",),
            restart_pause_s=0.05,
        )

    def start(self):
        self.engine.start()

    def stop(self):
        self.engine.stop()


class FlareRig:
    """Members behind a wire that can fail."""

    def __init__(self, root: Path, *, beat_s=BEAT_S, **options):
        self.root = root
        self.beat_s = beat_s
        self.board = Switchboard()
        self.engine = self.make_engine(**options)
        self.seats = {}
        self.threads = []
        self.notes = []

    def make_engine(self, most=MOST, pace=None, silence_s=20.0, quiet_s=5.0):
        return FlareEngine(
            self.board.wire(COORDINATOR),
            MEMBERS,
            spool=self.root / "spool",
            max_payload_bytes=most,
            pace=pace or Pace(),
            ranges=RANGES,
            silence_s=silence_s,
            quiet_s=quiet_s,
            look_s=0.05,
            stop_s=1.0,
        )

    def start(self):
        self.engine.start()
        for member in MEMBERS:
            self.sit(member)

    def sit(self, member):
        folder = self.root / member
        folder.mkdir(parents=True, exist_ok=True)
        seat = Seat(
            self.board.wire(member),
            COORDINATOR,
            folder,
            lambda: ThreadMember(folder),
            ranges=RANGES,
            note=self.notes.append,
            first_pause_s=0.05,
            beat_s=self.beat_s,
        )
        thread = threading.Thread(target=seat.serve, daemon=True)
        thread.start()
        self.seats[member] = seat
        self.threads.append(thread)

    def stop(self):
        self.engine.stop()
        for seat in self.seats.values():
            seat.stop()
        for thread in self.threads:
            thread.join(10)


def wait(engine, kind, member=None, within_s=20.0):
    """The next event of a kind; others are passed over."""
    deadline_s = time.monotonic() + within_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        event = engine.next_event(left_s)
        if isinstance(event, kind) and member in (None, event.member):
            return event
    raise AssertionError(f"no {kind.__name__} of {member}")


def all_joined(engine):
    return {wait(engine, Joined).member for _ in MEMBERS} == set(MEMBERS)


__all__ = ["Joined", "Lost", "Received", "SendBase"]

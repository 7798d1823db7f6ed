"""What the transport benchmark runs in FLARE's job processes: the engine, without training.

The coordinator sends one file to every member; each member's own process writes it down and sends
it back. `transport.py` makes the kits, lets these two classes be named there, and submits the job.
"""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.impl.controller import Controller

from concord.federation.engine.flare.cell import SERVER, CellWire
from concord.federation.engine.flare.engine import FlareEngine
from concord.federation.engine.flare.seat import Seat
from concord.federation.engine.hosting import Nursery
from concord.federation.engine.interface import Joined, Received
from concord.federation.frames import ConnectionLost, receive_frame, send_frame
from concord.federation.messages import Progress, SendBase, encode_message
from concord.federation.sites.site_files import read_site

DONE = encode_message(Progress(round=0, steps=0, tokens=0))


def send_back(stream: socket.socket, folder: Path) -> None:
    """A member's process: keeps what comes as a file, and sends the file back."""
    spool = folder / "incoming"
    spool.mkdir(exist_ok=True)
    try:
        while True:
            frame = receive_frame(stream, spool, max_payload_bytes=1 << 40)
            send_frame(stream, DONE, frame.payload)
            frame.drop_payload()
    except ConnectionLost:
        return


def wire_of(fl_ctx: Any) -> CellWire:
    return CellWire(fl_ctx.get_engine().get_cell().core_cell, fl_ctx.get_job_id())


def site_folder(fl_ctx: Any) -> Path:
    return Path(read_site(Path(fl_ctx.get_engine().get_workspace().get_root_dir())).folder)


class TransportController(Controller):  # type: ignore[misc]
    """Sends each file to all members and back, as often as told."""

    def __init__(self, members: list[str], megabytes: list[int]) -> None:
        super().__init__()
        self._members = members
        self._megabytes = megabytes

    def start_controller(self, fl_ctx: Any) -> None: ...

    def stop_controller(self, fl_ctx: Any) -> None: ...

    def process_result_of_unknown_task(self, *_: Any, **__: Any) -> None: ...

    def control_flow(self, _: Any, fl_ctx: Any) -> None:
        folder = site_folder(fl_ctx)
        engine = FlareEngine(
            wire_of(fl_ctx), self._members, spool=folder / "spool", max_payload_bytes=1 << 40
        )
        engine.start()
        waiting = set(self._members)
        while waiting:
            event = engine.next_event(1.0)
            if isinstance(event, Joined):
                waiting.discard(event.member)
        (folder / "ready").touch()
        for number, megabytes in enumerate(self._megabytes):
            go = folder / f"go-{number}"
            while not go.exists():
                time.sleep(0.02)
            found = self._round_trip(engine, folder / f"{megabytes}.bin")
            (folder / f"result-{number}.part").write_text(json.dumps(found))
            (folder / f"result-{number}.part").rename(folder / f"result-{number}.json")
        engine.stop()

    def _round_trip(self, engine: FlareEngine, source: Path) -> dict[str, float]:
        began_s = time.monotonic()
        for member in self._members:
            engine.send(member, SendBase(), source)
        back = 0
        while back < len(self._members):
            event = engine.next_event(1.0)
            if isinstance(event, Received):
                assert event.frame.payload is not None
                assert event.frame.payload.stat().st_size == source.stat().st_size
                event.frame.drop_payload()
                back += 1
        seconds = time.monotonic() - began_s
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"seconds": seconds, "peak_MiB": peak}


class TransportExecutor(Executor):  # type: ignore[misc]
    """A member's seat, as in a run."""

    def handle_event(self, event_type: str, fl_ctx: Any) -> None:
        if event_type == EventType.START_RUN:
            folder = site_folder(fl_ctx)
            nursery = Nursery(send_back)
            self._seat = Seat(
                wire_of(fl_ctx),
                SERVER,
                folder,
                lambda: nursery.start(folder.name, folder),
                warm=nursery.warm,
            )
            threading.Thread(target=self._seat.serve, daemon=True).start()
        elif event_type == EventType.END_RUN:
            self._seat.stop()

    def execute(self, *_: Any, **__: Any) -> None: ...

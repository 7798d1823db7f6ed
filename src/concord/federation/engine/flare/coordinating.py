"""What runs in the coordinator's job process: a segment of a run, over whatever wire."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from concord.base.errors import ConcordError, DocumentError, InternalError, StorageError
from concord.federation.engine.flare.engine import FlareEngine
from concord.federation.engine.flare.events import EventWriter
from concord.federation.engine.flare.segment import (
    HEARD_S,
    Order,
    Segments,
    Standing,
    Succession,
    fault_of,
)
from concord.federation.engine.flare.wire import Wire
from concord.federation.engine.interface import Engine
from concord.federation.folders import FederationFolder
from concord.federation.launch import run_facts, run_over
from concord.federation.records import RunFolder

TOLD_EVERY_S = 1.0


def coordinate(
    wire: Wire, federation: FederationFolder, order: Order, *, aborted: Callable[[], bool]
) -> Standing:
    """Run a segment: wait for the one before, then run rounds until the end, or the next one.

    Nothing is raised: what ended it is in the standing that is returned, and written down.

    Args:
        wire: The way to the members of this job.
        federation: The federation's folder.
        order: What the job was told.
        aborted: Whether the job is to end.
    """
    folder = RunFolder(federation.root, order.run)
    board = _Board(Segments(folder), order.segment)
    try:
        return board.put(_segment(wire, federation, folder, order, board, aborted))
    except ConcordError as error:
        return board.put("failed", _if_away(federation) or error)
    except Exception as error:  # noqa: BLE001 - the boundary: FLARE is told that it failed
        fault = InternalError(f"the coordinator failed with {type(error).__name__}: {error}")
        return board.put("failed", fault)
    finally:
        board.close()


def _if_away(federation: FederationFolder) -> StorageError | None:
    """Where log or objects lie elsewhere and are away, nothing was lost: they may come back."""
    for folder in (federation.log, federation.objects.root / "sha256"):
        if not folder.is_dir():
            return StorageError("is not there", where=folder, remedy="see whether its disk is")
    return None


def _segment(
    wire: Wire,
    federation: FederationFolder,
    folder: RunFolder,
    order: Order,
    board: _Board,
    aborted: Callable[[], bool],
) -> str:
    """What became of it: finished or paused."""
    os.umask(0o077)
    run = federation.load_run(order.run)
    if run.digest != order.digest:
        raise DocumentError(
            "is not the run document that the job was submitted for",
            where=federation.run_path(order.run),
        )
    folder.create()
    engine = FlareEngine(wire, run.member_ids, spool=folder.root / "incoming", max_payload_bytes=0)
    board.present = partial(engine.waiting, HEARD_S)
    succession = Succession(board.segments, order, waiting=board.present, aborted=aborted)
    watcher = EventWriter(board.segments.events(order.segment))
    began_s = time.monotonic()

    @contextmanager
    def connect(_: RunFolder, max_payload_bytes: int) -> Iterator[Engine]:
        board.segments.begin()
        board.put("running")
        engine.max_payload_bytes = max_payload_bytes
        engine.start()
        yield engine

    try:
        notes = run_over(
            federation,
            run,
            connect,
            resume=True,
            watcher=watcher,
            pause=succession.pause,
            wait=succession.wait,
            elsewhere=True,
        )
    finally:
        engine.stop()
        watcher.close()
    seconds = time.monotonic() - began_s
    run_facts(federation, run, notes, seconds, engine="flare").save(folder)
    return "finished" if notes.finished else "paused"


class _Board:
    """Tells every second where the segment stands."""

    def __init__(self, segments: Segments, segment: str) -> None:
        self.segments = segments
        self.present: Callable[[], set[str]] = set
        self._segment = segment
        self._state = "waiting"
        self._beat = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="standing", daemon=True)
        self._thread.start()

    def put(self, state: str, error: ConcordError | None = None) -> Standing:
        with self._lock:
            self._state = state
            self._beat += 1
            standing = Standing.model_validate(
                {
                    "segment": self._segment,
                    "state": state,
                    "beat": self._beat,
                    "present": tuple(sorted(self.present())),
                    "fault": None if error is None else fault_of(error),
                }
            )
            # On a full disk the driver hears nothing, and takes the segment for lost.
            with suppress(StorageError):
                self.segments.write(standing)
            return standing

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _tell(self) -> None:
        while not self._closed.wait(TOLD_EVERY_S):
            if self._state in ("waiting", "running"):
                self.put(self._state)

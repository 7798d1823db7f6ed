"""A segment: one job's share of a run, and how one hands over to the next.

    runs/<name>/lock                     held by the segment that runs the coordinator
    runs/<name>/segments/next            the segment whose members are ready and wait
    runs/<name>/segments/<id>.json       where a segment stands, rewritten every second
    runs/<name>/segments/<id>.jsonl      what happened in it, for who looks on

A segment starts its processes while the one before it still trains. When its members are ready it
asks to be next; the one before pauses at the border of a round, and its lock comes free. No segment
knows more than the log and the run's folder, so one that was killed is followed by another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.errors import ConcordError, DocumentError
from concord.base.files import atomic_file, make_folder, write_atomic
from concord.charter.document import Document
from concord.federation.messages import Count, DigestText, Name
from concord.federation.records import RunFolder

Segment = Annotated[str, Field(pattern=r"^[0-9]{6}-[0-9a-f]{8}$")]
READY_S = 120.0
"""How long the last of a segment's members is waited for, once there is a quorum."""
HEARD_S = 3.0


class Order(Document):
    """What a job tells its coordinator's process: names, digests and counts."""

    segment: Segment
    run: Name
    digest: DigestText
    members: tuple[Name, ...]
    quorum: Annotated[int, Field(ge=1)]


class Fault(Document):
    """Why a segment ended, where that is an error of the run; stays at the coordinator."""

    code: str
    message: str
    where: str | None = None
    remedy: str | None = None


class Standing(Document):
    """Where a segment stands."""

    segment: Segment
    state: Literal["waiting", "running", "paused", "finished", "failed"]
    beat: Count = 0
    """Grows with every writing: who sees it grow knows that the segment's process is there."""
    present: tuple[Name, ...] = ()
    """Members that are connected, or wait to be."""
    fault: Fault | None = None


class Segments:
    """The files by which the segments of one run know of each other.

    Args:
        run: The run's folder.
    """

    def __init__(self, run: RunFolder) -> None:
        self._folder = run.root / "segments"
        self._next = self._folder / "next"

    def write(self, standing: Standing) -> None:
        """Say where a segment stands.

        Raises:
            StorageError: it cannot be written.
        """
        make_folder(self._folder)
        data = canonical_json(standing.model_dump(mode="json"))
        path = self._folder / f"{standing.segment}.json"
        with atomic_file(path, durable=False) as stream:  # after a power cut nobody believes it
            stream.write(data)

    def read(self, segment: str) -> Standing | None:
        """Where a segment stands; None if it has not said so yet."""
        path = self._folder / f"{segment}.json"
        try:
            return Standing.model_validate(parse_json(path.read_bytes(), where=path))
        except (OSError, ValidationError, DocumentError):
            return None

    def events(self, segment: str) -> Path:
        """Where a segment writes what happens."""
        make_folder(self._folder)
        return self._folder / f"{segment}.jsonl"

    def ask_to_be_next(self, segment: str) -> None:
        make_folder(self._folder)
        write_atomic(self._next, segment.encode())

    def next(self) -> str | None:
        """The segment that asks to be next."""
        try:
            return self._next.read_text(encoding="utf-8")
        except OSError:
            return None

    def begin(self) -> None:
        """Whoever asked has its turn, or is gone."""
        self._next.unlink(missing_ok=True)


class Succession:
    """One segment's part in the handing over.

    Args:
        segments: The run's segments.
        order: What this one was told.
        waiting: Members that are ready to begin in this segment.
        aborted: Whether the job is to end.
    """

    def __init__(
        self,
        segments: Segments,
        order: Order,
        *,
        waiting: Callable[[], set[str]],
        aborted: Callable[[], bool],
    ) -> None:
        self._segments = segments
        self._order = order
        self._waiting = waiting
        self._aborted = aborted
        self._enough_s: float | None = None
        self._asked = False

    def wait(self) -> bool:
        """Asked while another segment runs: whether to go on waiting."""
        if not self._asked and self._is_ready(time.monotonic()):
            self._segments.ask_to_be_next(self._order.segment)
            self._asked = True
        return not self._aborted()

    def pause(self) -> bool:
        """Asked at every border of a round: whether another segment is to go on."""
        return self._segments.next() not in (None, self._order.segment) or self._aborted()

    def _is_ready(self, now_s: float) -> bool:
        waiting = self._waiting() & set(self._order.members)
        if len(waiting) < self._order.quorum:
            self._enough_s = None
            return False
        if self._enough_s is None:
            self._enough_s = now_s
        everybody = len(waiting) == len(self._order.members)
        return everybody or now_s - self._enough_s > READY_S


def fault_of(error: ConcordError) -> Fault:
    """An error as the driver is told it."""
    return Fault(
        code=error.code,
        message=error.message[:2000],
        where=error.where,
        remedy=error.remedy,
    )

"""The driver: one segment after another, until the run is over.

    no segment ──submit──► current ──a member is registered and not in it, or it is old──► successor
        ▲                     │                                                               │
        └── it ended early ◄──┴── it paused: the successor is current ◄───────────────────────┘

Whatever becomes of a job, the log and the run's folder say how far the run is; so every end but
the run's own is answered with a new segment, after a pause that grows while nothing is committed.
Jobs that an earlier driver left behind are never asked about.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from concord.base.errors import (
    ConcordError,
    FederationError,
    LogHeld,
    QuorumLost,
    StorageError,
    UpdateRefused,
)
from concord.charter.run import RunDocument
from concord.federation.engine.flare.events import EventReader
from concord.federation.engine.flare.segment import Fault, Order, Segments, Standing
from concord.federation.records import RunFolder
from concord.federation.rounds import ClosingRule
from concord.federation.watcher import Watcher

LOOK_S = 0.25
ASK_S = 2.0
"""FLARE writes a line for each question of a driver."""
SETTLE_S = 5.0
"""So long a member is registered before a segment begins for it, or without the last of them."""
STALL_S = 120.0
"""So long a job may say nothing before another is submitted."""
SEGMENT_S = 3600.0
WARM_S = 180.0
"""So long a member that a job was sent to may take until it is connected."""
AGAIN_S = 30.0
"""Between one successor and the next."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
RETRIED = frozenset({FederationError.code, QuorumLost.code, StorageError.code, LogHeld.code})
MOST_FAILURES = 8
"""In a row, without a committed round between them."""


class AdminLost(Exception):
    """The coordinator's server does not answer. Never reaches a user: the driver asks again."""


class Admin(Protocol):
    """What a driver asks the coordinator's server. Every question may raise `AdminLost`."""

    def registered(self) -> dict[str, float]:
        """Members that are admitted, and when the server last heard of each, by its own clock."""

    def runs(self, member: str, job: str) -> bool:
        """Whether a member's site has a process for a job; asked of one that is there."""

    def submit(self, order: Order) -> str:
        """Submit a job; returns its id."""

    def ended(self, job: str) -> str | None:
        """How a job ended; None while it goes on."""

    def abort(self, job: str) -> None:
        """End a job; nothing happens if it is over."""


@dataclass(frozen=True)
class Pace:
    """How often a driver asks, and how long it waits; see the names above."""

    look_s: float = LOOK_S
    ask_s: float = ASK_S
    settle_s: float = SETTLE_S
    stall_s: float = STALL_S
    segment_s: float = SEGMENT_S
    warm_s: float = WARM_S
    again_s: float = AGAIN_S
    first_pause_s: float = FIRST_PAUSE_S


@dataclass
class _Missing:
    """A member that is not connected in a job."""

    heard: float
    """When the server had last heard of it when it was first missed."""
    since_s: float
    asked_s: float = float("-inf")


@dataclass
class _Job:
    id: str
    order: Order
    submitted_s: float
    heard_s: float
    reader: EventReader
    patience_s: float
    standing: Standing | None = None
    seen: set[str] = field(default_factory=set)
    """Members that were connected in it."""
    missing: dict[str, _Missing] = field(default_factory=dict)


@dataclass
class _Known:
    """What the server told last."""

    since_s: dict[str, float] = field(default_factory=dict)
    """When each registered member was first seen registered."""
    heard: dict[str, float] = field(default_factory=dict)
    """When the server last heard of each, by its clock: a killed one stays registered for long."""
    asked_s: float = float("-inf")


class Driver:
    """Drives one run.

    Args:
        run: The run document.
        folder: The run's folder, where its segments tell where they stand.
        admin: The coordinator's server.
        watcher: Looks on.
        now_s: Monotonic seconds.
        sleep: Waits for so many seconds.
        stopped: Whether the driver is to leave the run to a later one.
        pace: How often to ask.
    """

    def __init__(
        self,
        run: RunDocument,
        folder: RunFolder,
        admin: Admin,
        *,
        watcher: Watcher,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        stopped: Callable[[], bool] = lambda: False,
        pace: Pace | None = None,
    ) -> None:
        self._run = run
        self._folder = folder
        self._admin = admin
        self._watcher = watcher
        self._now_s = now_s
        self._sleep = sleep
        self._stopped = stopped
        self._pace = Pace() if pace is None else pace
        self._segments = Segments(folder)
        self._number = 0
        self._known = _Known()
        self._current: _Job | None = None
        self._successor: _Job | None = None
        self._failures = 0
        self._committed = -1
        self._not_before_s = float("-inf")
        self._succeeded_s = float("-inf")

    def drive(self) -> bool:
        """Submit segments until the run is over.

        Returns:
            False if it was stopped before.

        Raises:
            ConcordError: what ended the run, where another segment could not mend it.
        """
        try:
            while not self._stopped():
                try:
                    if self._step(self._now_s()):
                        return True
                except AdminLost:
                    self._server_lost()
                self._sleep(self._pace.look_s)
            return False
        finally:
            self._abort(self._successor)
            self._abort(self._current)

    def _step(self, now_s: float) -> bool:
        """Look once; whether the run is over."""
        for job in (self._current, self._successor):
            if job is not None:
                self._hear(job, now_s)
        self._ask(now_s)
        if self._current is None:
            self._begin(now_s)
            return False
        standing = self._current.standing
        if standing is not None and standing.state == "finished":
            self._current = None  # it ends by itself
            return True
        if standing is not None and standing.state in ("paused", "failed"):
            self._after(standing, now_s)
        elif self._is_lost(self._current, now_s):
            self._abort(self._current)
            self._failed(FederationError("the segment's process is gone"), now_s)
        elif self._successor is None:
            self._succeed(now_s)
        elif self._is_lost(self._successor, now_s) or self._has_failed(self._successor):
            self._abort(self._successor)
            self._successor = None
        elif self._successor.standing is not None and self._successor.standing.state == "running":
            self._promote()
        return False

    def _server_lost(self) -> None:
        """It comes back, or whoever looks after it says why not; its jobs are gone with it."""
        self._known = _Known()
        for job in (self._current, self._successor):
            if job is not None:
                job.patience_s = self._pace.settle_s

    # --- what is known ----------------------------------------------------------------------

    def _hear(self, job: _Job, now_s: float) -> None:
        job.reader.tell()
        standing = self._segments.read(job.order.segment)
        if standing is not None and standing != job.standing:
            job.standing, job.heard_s = standing, now_s
            job.seen |= set(standing.present)
            for member in standing.present:
                job.missing.pop(member, None)

    def _ask(self, now_s: float) -> None:
        if now_s - self._known.asked_s < self._pace.ask_s:
            return
        self._known.asked_s = now_s
        told = self._admin.registered()
        here = {member for member in told if member in self._run.member_ids}
        self._known.heard = told
        since_s = self._known.since_s
        self._known.since_s = {member: since_s.get(member, now_s) for member in here}
        for job in (self._current, self._successor):
            if job is not None and (how := self._admin.ended(job.id)) is not None:
                self._hear_last(job, how)

    def _hear_last(self, job: _Job, how: str) -> None:
        job.standing = self._segments.read(job.order.segment)
        if job.standing is None or job.standing.state in ("waiting", "running"):
            fault = Fault(code=FederationError.code, message=f"its job ended: {how}")
            job.standing = Standing(segment=job.order.segment, state="failed", fault=fault)

    def _is_lost(self, job: _Job, now_s: float) -> bool:
        return now_s - job.heard_s > job.patience_s

    def _has_failed(self, job: _Job) -> bool:
        return job.standing is not None and job.standing.state in ("failed", "paused")

    # --- what is done -----------------------------------------------------------------------

    def _begin(self, now_s: float) -> None:
        """Submit the first segment, once enough are there and the last had some time."""
        if now_s < self._not_before_s:
            return
        here = self._known.since_s
        # The tokenizer and the first base need everybody.
        needed = self._quorum() if self._folder.started() else len(self._run.member_ids)
        if len(here) < needed:
            return
        settled = all(now_s - since_s > self._pace.settle_s for since_s in here.values())
        if len(here) == len(self._run.member_ids) or settled:
            self._current = self._submit(set(here), now_s)

    def _succeed(self, now_s: float) -> None:
        """Submit a successor if somebody waits outside, or the segment is old."""
        job = self._current
        if job is None or job.standing is None or job.standing.state != "running":
            return
        if now_s - self._succeeded_s < self._pace.again_s:
            return
        if not self._folder.started():
            return  # before the first base there is no border to hand over at
        if self._absent(job, now_s) or now_s - job.submitted_s > self._pace.segment_s:
            self._succeeded_s = now_s
            self._successor = self._submit(set(self._known.since_s), now_s)

    def _absent(self, job: _Job, now_s: float) -> set[str]:
        """Members that are registered for a while, and neither connected nor on their way."""
        present = set(job.standing.present) if job.standing is not None else set()
        settled = {
            member
            for member, since_s in self._known.since_s.items()
            if now_s - since_s > self._pace.settle_s
        }
        warming = set(job.order.members) - job.seen
        young = now_s - job.submitted_s < self._pace.warm_s
        outside = settled - present - (warming if young else set())
        return {member for member in outside if self._has_left(job, member, now_s)}

    def _has_left(self, job: _Job, member: str, now_s: float) -> bool:
        """Whether a member's site is there, and has no process of this job that seats it again."""
        heard = self._known.heard[member]
        missing = job.missing.setdefault(member, _Missing(heard, now_s))
        if heard <= missing.heard or now_s - missing.asked_s < self._pace.ask_s:
            return False
        if now_s - missing.since_s > self._pace.warm_s:
            return True
        missing.asked_s = now_s
        return not self._admin.runs(member, job.id)

    def _promote(self) -> None:
        self._current, self._successor = self._successor, None

    def _after(self, standing: Standing, now_s: float) -> None:
        """The current segment ended before the run did."""
        if standing.state == "paused":
            self._current, self._successor = self._successor, None
            return
        fault = standing.fault
        error = FederationError("a segment failed") if fault is None else told_again(fault)
        if fault is not None and fault.code not in RETRIED:
            self._current = None
            raise error
        self._failed(error, now_s)

    def _failed(self, error: ConcordError, now_s: float) -> None:
        committed = self._folder.committed()
        self._failures = 1 if committed > self._committed else self._failures + 1
        self._committed = committed
        if self._failures >= MOST_FAILURES:
            self._current = None
            raise error
        pause_s = min(LONGEST_PAUSE_S, self._pace.first_pause_s * 2 ** (self._failures - 1))
        self._watcher.note(f"a new segment begins in {pause_s:.0f} s: {error}")
        self._not_before_s = now_s + pause_s
        self._current, self._successor = self._successor, None

    def _submit(self, members: set[str], now_s: float) -> _Job:
        self._number += 1
        order = Order(
            segment=f"{self._number:06d}-{secrets.token_hex(4)}",
            run=self._run.name,
            digest=self._run.digest,
            members=tuple(sorted(members)),
            quorum=self._quorum(),
        )
        job = self._admin.submit(order)
        reader = EventReader(self._segments.events(order.segment), self._folder, self._watcher)
        return _Job(job, order, now_s, now_s, reader, self._pace.stall_s)

    def _quorum(self) -> int:
        return ClosingRule.of(self._run.rounds).needed(len(self._run.member_ids))

    def _abort(self, job: _Job | None) -> None:
        if job is not None:
            try:
                self._admin.abort(job.id)
            except AdminLost:
                return  # then the job is gone with its server


def told_again(fault: Fault) -> ConcordError:
    """The error that ended a segment, with its own code and exit status."""
    kinds = {kind.code: kind for kind in _kinds(ConcordError) if kind is not UpdateRefused}
    kind = kinds.get(fault.code, FederationError)
    return kind(fault.message, where=fault.where, remedy=fault.remedy)


def _kinds(kind: type[ConcordError]) -> list[type[ConcordError]]:
    return [kind, *(deeper for below in kind.__subclasses__() for deeper in _kinds(below))]

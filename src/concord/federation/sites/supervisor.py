"""Keeps a site's processes up: starts them, starts them again with a growing pause, ends them all.

What to do next is a pure function of what was seen; the loop around it has the clock, the
processes and the signals.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from concord.base.errors import SiteUnreachable

FIRST_PAUSE_S = 2.0
"""Longer than FLARE's job processes take to notice that their parent is gone: one second."""
LONGEST_PAUSE_S = 300.0
MOST_DOUBLINGS = 16
STEADY_S = 600.0
"""After running so long, an end counts as the first one again. Assumption."""
LOOK_S = 1.0
ASK_AGAIN_S = 30.0
"""How often the way to the coordinator is tried while the member is not admitted."""


@dataclass(frozen=True)
class Course:
    """What was seen of a process so far."""

    started_s: float | None = None
    ended_s: float | None = None
    ends: int = 0
    """Ends in a row, without a steady time between."""

    def started(self, now_s: float) -> Course:
        return replace(self, started_s=now_s, ended_s=None)

    def ended(self, now_s: float) -> Course:
        """It ended by itself, though it was not asked to."""
        steady = self.started_s is not None and now_s - self.started_s >= STEADY_S
        return replace(self, ended_s=now_s, ends=1 if steady else self.ends + 1)

    @property
    def pause_s(self) -> float:
        """How long to wait after the last end."""
        doublings = min(max(0, self.ends - 1), MOST_DOUBLINGS)  # a float ends at 1,024 of them
        return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**doublings)

    def may_start(self, now_s: float) -> bool:
        """Whether it is time to start, for the first time or again."""
        return self.ended_s is None or now_s - self.ended_s >= self.pause_s


class Runs(Protocol):
    """A process tree that can be started, looked at and ended."""

    def start(self) -> None: ...

    def alive(self) -> bool: ...

    def stop(self) -> None: ...


Tell = Callable[[str], None]


class Supervisor:
    """Keeps one process tree up until it is told to end.

    Args:
        process: What to keep up.
        tell: Takes lines for people; each state once, when it begins.
        check: Walks the way to the coordinator; raises `SiteUnreachable`. None at the coordinator.
        admitted: Whether the coordinator let this site in; None if nobody has to.
        ended: Whether it is time to end; looked at every second.
        now_s: Monotonic seconds.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        process: Runs,
        *,
        tell: Tell,
        check: Callable[[], None] | None = None,
        admitted: Callable[[], bool] | None = None,
        ended: Callable[[], bool] = lambda: False,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._process = process
        self._tell = tell
        self._check = check
        self._admitted = admitted
        self._ended = ended
        self._now_s = now_s
        self._sleep = sleep
        self._course = Course()
        self._told = ""
        self._asked_s: float | None = None

    def run(self) -> None:
        """Go on until `ended`; at the end, however it comes, nothing of the tree is left.

        Raises:
            ConcordError: the processes may not be started at all.
        """
        try:
            while not self._ended():
                self.look()
                self._sleep(LOOK_S)
        finally:
            self._process.stop()

    def look(self) -> None:
        """One look: start what is due, say what is new."""
        now_s = self._now_s()
        if self._process.alive():
            if self._course.started_s is None:  # by somebody else
                self._course = self._course.started(now_s)
            self._look_at_admission(now_s)
            return
        if self._course.started_s is not None and self._course.ended_s is None:
            self._course = self._course.ended(now_s)
            self._process.stop()  # what it left behind
            self._say(f"it ended; started again in {self._course.pause_s:.0f} s")
        if self._course.may_start(now_s):
            self._process.start()
            self._course = self._course.started(now_s)
            self._asked_s = None
            self._say("started")

    def _look_at_admission(self, now_s: float) -> None:
        if self._admitted is not None and self._admitted():
            self._say("the coordinator let this site in")
            return
        if self._check is None:
            return
        if self._asked_s is not None and now_s - self._asked_s < ASK_AGAIN_S:
            return
        self._asked_s = now_s
        try:
            self._check()
        except SiteUnreachable as error:
            self._say(f"{error}; trying on")
        else:
            self._say("the coordinator's server answers; waiting to be let in")

    def _say(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._tell(text)

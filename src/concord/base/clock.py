"""Time as something handed in, so that decisions stay pure and tests need not wait."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds, from two sources that must not be mixed."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed instant; never goes back. For durations."""

    def unix_s(self) -> float:
        """Seconds since 1970-01-01 UTC. For statements; may jump."""


class SystemClock:
    """The machine's own clocks."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def unix_s(self) -> float:
        return time.time()

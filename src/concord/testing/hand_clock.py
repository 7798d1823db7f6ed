"""Time that moves when told."""

from __future__ import annotations


class HandClock:
    """A clock for tests of what expires.

    Attributes:
        now_s: Seconds, of both kinds.
    """

    def __init__(self, now_s: float = 1_800_000_000.0) -> None:
        self.now_s = now_s

    def monotonic_s(self) -> float:
        return self.now_s

    def unix_s(self) -> float:
        return self.now_s

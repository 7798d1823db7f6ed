"""Transfers that share the coordinator's link: each as fast as its own link lets it, else alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

ROUNDING = 1e-9
"""Share of a transfer that may be left by rounding; so may so many bits."""


@dataclass
class Flow:
    """One transfer that is under way."""

    bits: float
    left: float
    limit: float
    """Bits per second that the member's own link lets through; finite."""

    @property
    def done(self) -> bool:
        return self.left <= ROUNDING * max(1.0, self.bits)


class Link:
    """The coordinator's link in one direction.

    Args:
        bits: Bits per second; may be infinite.
    """

    def __init__(self, bits: float) -> None:
        self._bits = bits
        self._flows: dict[int, Flow] = {}

    def begin(self, member: int, size: float, limit: float) -> None:
        """A member's transfer of `size` bytes begins."""
        self._flows[member] = Flow(8 * size, 8 * size, limit)

    def cancel(self, member: int) -> None:
        self._flows.pop(member, None)

    def next_s(self) -> float:
        """Seconds until the next transfer ends, if nothing changes; infinite if there is none."""
        rates = self._rates()
        return min(
            (self._time(flow, rates[m]) for m, flow in self._flows.items()), default=math.inf
        )

    @staticmethod
    def _time(flow: Flow, rate: float) -> float:
        return 0.0 if flow.done else flow.left / rate

    def advance(self, seconds: float) -> list[int]:
        """Let time pass; returns the members whose transfer ended, in order."""
        rates = self._rates()
        for member, flow in self._flows.items():
            flow.left -= rates[member] * seconds
        ended = sorted(member for member, flow in self._flows.items() if flow.done)
        for member in ended:
            del self._flows[member]
        return ended

    def _rates(self) -> Mapping[int, float]:
        """Fair shares: who cannot use its part leaves it to the others."""
        rates, left = {}, self._bits
        ordered = sorted(self._flows.items(), key=lambda pair: (pair[1].limit, pair[0]))
        for place, (member, flow) in enumerate(ordered):
            rates[member] = min(flow.limit, left / (len(ordered) - place))
            left -= rates[member]
        return rates

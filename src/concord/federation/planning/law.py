"""How long a round takes, in closed form, where all members are alike.

    train       6 N D / F                           D tokens, F operations per second
    move        8 bytes / min(W, W_c / M) + latency W, W_c: a member's, the coordinator's link
    exchange    move(up) + M screen + merge + move(down)
    round       (1 - f) train + max(f train, exchange)      f: share of a round's steps taken ahead
    blocking    f = 0: train + exchange
    overlapped  f = 1: max(train, exchange)         all of the next round is trained meanwhile

With W_c large and nothing else to wait for, these are the link law of training by local steps:
utilisation 1/(1 + 8bF/(6DW)) and min(1, 6DW/(8bF)), where b is bytes per parameter and round up and
down; the model's size cancels. A member's link carries one thing at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FLOPS_PER_WEIGHT_AND_TOKEN = 6
"""Forward and backward pass, attention left out (Kaplan et al. 2020)."""


def train_s(*, parameters: int, tokens: float, flops: float) -> float:
    """Seconds that one member trains on so many tokens at so many operations a second."""
    return FLOPS_PER_WEIGHT_AND_TOKEN * parameters * tokens / flops


@dataclass(frozen=True)
class Setting:
    """One round, members alike. Times in seconds, links in bits per second each way."""

    members: int
    train_s: float
    up_bytes: float
    down_bytes: float
    link_bits: float
    """A member's link."""
    hub_bits: float = math.inf
    """The coordinator's link, in each direction."""
    latency_s: float = 0.0
    screen_s: float = 0.0
    """The coordinator's time for one update when it comes: digest, decoding, norms."""
    merge_s: float = 0.0
    """The coordinator's time after the last update: merge, outer step, files."""

    def move_s(self, size: float) -> float:
        """All members sending, or being sent, `size` bytes at once."""
        return 8 * size / min(self.link_bits, self.hub_bits / self.members) + self.latency_s

    @property
    def exchange_s(self) -> float:
        moves = self.move_s(self.up_bytes) + self.move_s(self.down_bytes)
        return moves + self.members * self.screen_s + self.merge_s

    def round_s(self, *, overlap: float) -> float:
        """Time from one committed round to the next.

        Args:
            overlap: Share of a round's steps that members take while the one before is exchanged.
        """
        ahead_s = overlap * self.train_s
        return self.train_s - ahead_s + max(ahead_s, self.exchange_s)

    def utilisation(self, *, overlap: float) -> float:
        """Share of the time in which members train."""
        return self.train_s / self.round_s(overlap=overlap)

"""What a round asks of a member, and what comes of it, inside one process.

Between processes both travel as signed statements; `concord.federation.simulation` hands them over
as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from concord.base.digest import Digest
from concord.ledger.statements.privacy import PrivacySpent


@dataclass(frozen=True)
class Train:
    """A plan as a member carries it out: start from `base`, take `inner_steps`."""

    run: Digest
    round: int
    base: Digest
    inner_steps: int
    attempt: int = 0
    """How often the round was called before: a sealed one is trained on other samples then."""


@dataclass(frozen=True)
class UpdateHeader:
    """An update beside its payload. Declared work is counted, never weighed."""

    round: int
    base: Digest
    payload_digest: Digest
    steps: int
    tokens: int
    flops: int
    train_s: float
    mean_loss: float
    privacy: tuple[PrivacySpent, ...] = ()
    """Of each dataset trained on under a budget."""


@dataclass(frozen=True)
class Withheld:
    """An update that was made and is not sent: its member's own limits are against it."""

    round: int
    reason: str
    """In words that may be published."""
    rules: tuple[str, ...]

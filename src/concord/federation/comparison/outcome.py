"""What an arm of a comparison cost and reached: sums and counts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from concord.charter.run import Document
from concord.federation.messages import Count, Name, Sum

Kind = Literal["shared", "pooled", "alone", "sovereign"]


class TextSums(Document):
    """Sums over one member's held-out text."""

    nats: Sum
    bytes: Count
    tokens: Count


class KnownFacts(Document):
    """Facts known of those asked."""

    known: Count
    asked: Count


class ArmResult(Document):
    """What an arm cost and reached."""

    key: Name
    arm: Name
    steps: Count
    tokens: Count
    flops: Count
    seconds: Sum
    sums: dict[Name, TextSums]
    facts: dict[Name, KnownFacts] = Field(default_factory=dict)

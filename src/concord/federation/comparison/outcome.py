"""An arm of a comparison: what is to be trained, and what it cost and reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from concord.base.digest import Digest
from concord.charter.document import Document
from concord.charter.run import RunDocument
from concord.federation.messages import Count, Name, Sum

Kind = Literal["shared", "pooled", "alone", "sovereign"]


@dataclass(frozen=True)
class ArmJob:
    """One arm to train and measure.

    Args:
        member: Whose arm it is; empty for `shared` and `pooled`.
        start: Tensor file of the base to start from.
    """

    federation: Path
    run: RunDocument
    kind: Kind
    member: str
    start: Path
    tokenizer: Path | None
    out: Path
    key: Digest
    """Digest of all that decides the result: an arm already measured under it is not repeated."""

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.member}" if self.member else self.kind


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
    weights: Name = ""
    """Digest of the tensor file that lies beside it."""
    steps: Count
    tokens: Count
    flops: Count
    seconds: Sum
    sums: dict[Name, TextSums]
    facts: dict[Name, KnownFacts] = Field(default_factory=dict)

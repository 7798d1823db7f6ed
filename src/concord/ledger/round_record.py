"""The run's own record of a round: what the coordinator keeps, and the log's statement names.

It repeats what the statement says, with what only reports need (seconds, declared steps), and is
chained to the record before it by digest. A verifier compares the two.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import CheckpointError, DocumentError
from concord.charter.document import Document, ExactFraction, describe
from concord.ledger.statements.fields import Count, DigestText

MAX_RECORD_BYTES = 1 << 20
Sum = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(max_length=256)]
Scale = Annotated[str, Field(max_length=32)]


class Contribution(Document):
    """One accepted update, as it entered the merge."""

    update: DigestText
    weight: ExactFraction
    steps: Count
    tokens: Count
    flops: Count
    train_s: Sum
    mean_loss: Sum | None
    """None in sealed mode, as the norm: nobody is told."""
    norm: Sum | None
    payload_bytes: Count
    late: bool = False
    """It is of the round before."""


class RoundRecord(Document):
    """One committed round: its inputs, who was left out and why, its result."""

    run: DigestText
    round: Count
    """Rounds committed so far: 0 for the seeded base."""
    previous: DigestText | None
    base: DigestText
    outer_state: DigestText | None = None
    step: DigestText | None = None
    """The encoded outer step that leads from the base before to this base."""
    contributions: dict[Name, Contribution] = Field(default_factory=dict)
    left_out: dict[Name, Name] = Field(default_factory=dict)
    closed_because: Name = ""
    norm_history: dict[Name, Annotated[tuple[Sum, ...], Field(max_length=64)]] = Field(
        default_factory=dict
    )
    """Median norms of the last rounds, of all weights and of each group of tensors."""
    next_scales: dict[Name, Scale] = Field(default_factory=dict)
    """Sealed mode: c_T of each weight for the next round, as an exact hexadecimal float."""
    bytes_up: dict[Name, Count] = Field(default_factory=dict)
    bytes_down: dict[Name, Count] = Field(default_factory=dict)
    seconds: Sum = 0.0
    tokenizer: DigestText | None = None

    @property
    def data(self) -> bytes:
        """The bytes that are kept, and named by their digest."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def parse(cls, data: bytes, *, where: object) -> tuple[Digest, Self]:
        """Read a record; returns the digest of its bytes too.

        Raises:
            CheckpointError: it is none.
        """
        try:
            value = parse_json(data, where=where, max_bytes=MAX_RECORD_BYTES)
            return digest_bytes(data), cls.model_validate(value)
        except (DocumentError, ValidationError) as error:
            reason = describe(error) if isinstance(error, ValidationError) else error.message
            raise CheckpointError(
                f"is not a round record: {reason}", where=where, remedy="restore it from a copy"
            ) from error

"""What is said of a sovereign build: what it was made of and how, what it gained and lost."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import Digest, digest_json
from concord.base.errors import ConcordError, DocumentError
from concord.charter.document import Document, describe
from concord.charter.run_sections import InnerSpec
from concord.federation.comparison.outcome import TextSums
from concord.ledger.statements.fields import Count, DigestText, Line

RECORD = "sovereign.json"
OWN = "own text"
"""Name of the member's own held-out text among what is measured."""


class Base(Document):
    """The model that a build went on from."""

    weights: DigestText
    """Of the canonical tensor file of its weights, as in the manifest of a release."""
    tokenizer: DigestText
    """Of its `tokenizer.json`, which a build keeps."""
    manifest: DigestText | None = None
    """Of the release that it is of, if it is of one."""
    version: Line = ""


class Plan(Document):
    """All that decides the weights of a build: the same plan gives the same weights."""

    base: Base
    train: DigestText
    """Of the training documents, in their order."""
    heldout: DigestText
    inner: InnerSpec
    context: Annotated[int, Field(gt=0)]
    steps: Annotated[int, Field(gt=0)]
    lora_rank: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Rank of the adapters that are trained in place of all weights."""
    seed: Count = 0

    @property
    def digest(self) -> Digest:
        return digest_json(self.model_dump(mode="json"))


class Measured(Document):
    """Sums over one text, by the base and by the build."""

    base: TextSums
    build: TextSums

    @property
    def base_bpb(self) -> float:
        return bits_per_byte(self.base)

    @property
    def build_bpb(self) -> float:
        return bits_per_byte(self.build)

    @property
    def change(self) -> float:
        """Relative change of bits per byte; below 0 is a gain."""
        return self.build_bpb / self.base_bpb - 1


class SovereignRecord(Document):
    """A finished build. It holds counts of the member's text, and none of it."""

    format: Literal["concord-sovereign/1"] = "concord-sovereign/1"
    plan: Plan
    weights: DigestText
    train_documents: Count
    train_bytes: Count
    heldout_documents: Count
    tokens: Count
    flops: Count
    measured: Annotated[dict[Line, Measured], Field(max_length=1000)]
    """By the name of the text: the own one, then languages of the parallel set."""

    @property
    def text(self) -> str:
        """Content of the file that lies in the folder of the build."""
        return canonical_json(self.model_dump(mode="json")).decode() + "\n"


def bits_per_byte(sums: TextSums) -> float:
    """Bits per byte of UTF-8; NaN without text."""
    return sums.nats / math.log(2) / sums.bytes if sums.bytes else math.nan


def read_record(folder: Path) -> SovereignRecord:
    """The record in the folder of a build.

    Raises:
        DocumentError: there is none, or it is damaged.
    """
    path = folder / RECORD
    try:
        return SovereignRecord.model_validate(parse_json(path.read_bytes(), where=path))
    except OSError as error:
        raise DocumentError(
            "is no sovereign build", where=folder, remedy="make one: concord sovereign build"
        ) from error
    except ValidationError as error:
        raise DocumentError(describe(error), where=path) from error
    except ConcordError as error:
        raise DocumentError(error.message, where=path) from error

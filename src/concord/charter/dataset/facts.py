"""What was counted in a dataset, and the commitment to its documents: numbers and one hash."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from concord.charter.dataset.terms import Treatment
from concord.charter.document import Document, Identifier

Count = Annotated[int, Field(ge=0, lt=2**53)]
Counts = Annotated[dict[str, Count], Field(max_length=256)]
Root = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DatasetCounts(Document):
    """Documents and bytes of UTF-8 after cleaning, without duplicates, as they are trained on."""

    documents: Annotated[Count, Field(gt=0)]
    bytes: Count
    tokens: Count | None = None
    """Under a tokenizer that the member names; unknown before there is one."""
    exact_duplicates: Count = 0
    near_duplicates: Count = 0
    empty_documents: Count = 0
    languages: Counts = Field(default_factory=dict)
    """Documents by the tag that the source gives them; the untagged are not in it."""
    scripts: Counts = Field(default_factory=dict)
    """Letters by Unicode script."""


class PersonalData(Document):
    """What the scan for personal data found, and what was done about it. Counts only."""

    scanner: Annotated[str, Field(max_length=80)]
    """Name and version of the scan."""
    jurisdictions: tuple[str, ...]
    """Whose national ids were looked for."""
    treatment: Treatment
    scanned_documents: Count
    documents: Count
    """Documents in which something was found."""
    masked: Count = 0
    """Places that were replaced by a placeholder."""
    left_out: Count = 0
    """Documents left out."""
    found: dict[Identifier, Count] = Field(default_factory=dict)
    """Places found, by kind."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.documents > self.scanned_documents or self.left_out > self.documents:
            raise ValueError("more documents than were scanned")
        if self.treatment != "mask" and self.masked:
            raise ValueError("places were masked, and the treatment is not 'mask'")
        if self.treatment != "leave_out" and self.left_out:
            raise ValueError("documents were left out, and the treatment is not 'leave_out'")
        return self


class Commitment(Document):
    """The root of a Merkle tree (RFC 6962) over salted documents, in the order of reading."""

    method: Literal["sha256-salted-rfc6962"] = "sha256-salted-rfc6962"
    """leaf = SHA-256(00 || salt || document), salt = HMAC-SHA-256(member's secret, document id)."""
    root: Root
    size: Annotated[Count, Field(gt=0)]
    """Leaves; one a document."""

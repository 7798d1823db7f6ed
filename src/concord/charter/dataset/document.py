"""The record of a dataset: the member's terms, what was counted, and the commitment."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from concord.charter.dataset.facts import Commitment, DatasetCounts, PersonalData
from concord.charter.dataset.terms import DatasetTerms
from concord.charter.document import Document, Identifier
from concord.charter.fields import Day

VERSION: Literal[1] = 1
"""Of the form of a record; a reader of another version refuses it."""


class Held(Document):
    """Who holds the dataset, and under which name."""

    member: Identifier
    dataset: Identifier
    name: Annotated[str, Field(max_length=200)] = ""
    """The member's name in words."""


class DatasetDocument(Document):
    """Everything that is public of a dataset whose text never leaves its member."""

    version: Literal[1] = VERSION
    held: Held
    recorded: Day
    """The day on which the record was made."""
    terms: DatasetTerms
    counts: DatasetCounts
    personal_data: PersonalData
    commitment: Commitment

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.terms.expires <= self.recorded:
            raise ValueError(
                f"terms.expires: {self.terms.expires} is not after the day of the record,"
                f" {self.recorded}"
            )
        if self.commitment.size != self.counts.documents:
            raise ValueError("the commitment covers another number of documents than was counted")
        if self.personal_data.treatment != self.terms.personal_data:
            raise ValueError("personal data was treated otherwise than the terms say")
        return self

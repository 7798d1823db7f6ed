"""What is done with a document in which personal data is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from concord.data.documents import Document
from concord.data.personal.scan import Scanner, Treated

Treatment = Literal["keep", "mask", "leave_out"]


@dataclass(frozen=True)
class PersonalDataRule:
    """A member's rule for one dataset.

    Args:
        treatment: Keep such a document, mask the places, or leave the document out.
        jurisdictions: Whose national ids are looked for; see `Scanner`.
    """

    treatment: Treatment
    jurisdictions: tuple[str, ...] = ()

    def applied(self) -> Callable[[Document, Treated], Document | None]:
        """A function that applies the rule to a document and counts what it did.

        It returns the document to use, and None for one that is left out.

        Raises:
            DocumentError: a jurisdiction is not known.
        """
        scanner = Scanner(self.jurisdictions)

        def apply(document: Document, counts: Treated) -> Document | None:
            places = scanner.find(document.text)
            counts.add(places, size=len(document.text.encode()))
            if not places or self.treatment == "keep":
                return document
            if self.treatment == "leave_out":
                counts.left_out += 1
                return None
            counts.masked += len(places)
            return replace(document, text=scanner.mask(document.text, places))

        return apply

"""What shows its author or an auditor that a record commits to one document; never in the log."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from concord.base.digest import Digest, digest_bytes
from concord.base.errors import LogCorrupt, VerificationFailed
from concord.charter.dataset.croissant import record_bytes
from concord.charter.dataset.document import DatasetDocument
from concord.charter.dataset.facts import Count, Root
from concord.charter.document import Document, Identifier
from concord.crypto.commitments import check_opening


class Opening(Document):
    """Salt and path of one document. Whoever has it can test guesses of this document alone."""

    member: Identifier
    dataset: Identifier
    record: Digest
    salt: Root
    index: Count
    size: Count
    path: Annotated[tuple[Root, ...], Field(max_length=64)]


def check_document(opening: Opening, record: DatasetDocument, document: bytes) -> None:
    """Check that `document`, as it was committed to, is the one that the opening speaks of.

    Raises:
        VerificationFailed: it is of another record, or the record does not commit to it.
    """
    where = f"{opening.member}/{opening.dataset}"
    if digest_bytes(record_bytes(record)) != opening.record:
        raise VerificationFailed("the opening is of another record", where=where)
    if opening.size != record.commitment.size:
        raise VerificationFailed("the opening is of a tree of another size", where=where)
    try:
        check_opening(
            document,
            salt=bytes.fromhex(opening.salt),
            index=opening.index,
            size=opening.size,
            path=[bytes.fromhex(part) for part in opening.path],
            root=bytes.fromhex(record.commitment.root),
        )
    except LogCorrupt as error:
        raise VerificationFailed(
            "the record does not commit to this document",
            where=where,
            remedy="give the document as it was committed to, byte for byte: cleaned, and masked"
            " if the record says so",
        ) from error

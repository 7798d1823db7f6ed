"""One document of a dataset, opened to its author or to an auditor."""

from __future__ import annotations

from concord.base.digest import digest_bytes
from concord.base.errors import DocumentError
from concord.charter.dataset import Opening, record_bytes
from concord.crypto.commitments import Leaves, document_leaf, document_salt
from concord.data.cleaning import clean_text
from concord.data.documents import Document
from concord.data.personal import Scanner
from concord.data.summary import Tally
from concord.federation.datasets.files import LEAVES, Dataset, DatasetFile, commitment_secret
from concord.federation.datasets.making import kept_documents


def open_document(
    one: Dataset, *, document_id: str | None = None, text: str | None = None
) -> tuple[Opening, str]:
    """Find a document in a dataset's text, and what shows that the record commits to it.

    Args:
        one: The dataset.
        document_id: The document's name in its source; or
        text: what it says, as its author has it.

    Returns:
        The opening, and the document as it was committed to: cleaned, and perhaps masked.

    Raises:
        DocumentError: there is no record, no such document, or the text changed since the record.
    """
    record = one.record()
    if record is None:
        raise DocumentError("has no record", where=one.name, remedy="make one: concord data add")
    file = one.load()
    wanted = None if text is None else _as_committed(text, file)
    leaves = Leaves((one.private / LEAVES).read_bytes())
    secret = commitment_secret(one.member)
    for index, document in enumerate(kept_documents(one.part(file, always_scan=True), Tally())):
        if not _is_it(document, document_id, wanted):
            continue
        salt = document_salt(secret, document.id)
        changed = index >= len(leaves) or leaves[index] != document_leaf(
            salt, document.text.encode()
        )
        if changed or leaves.root().hex() != record.commitment.root:
            raise DocumentError(
                "the text, or how it is treated, changed since its record was made",
                where=one.name,
                remedy="restore the text; or make a new record: concord data add",
            )
        opening = Opening(
            member=one.member.id,
            dataset=one.name,
            record=digest_bytes(record_bytes(record)),
            salt=salt.hex(),
            index=index,
            size=len(leaves),
            path=tuple(part.hex() for part in leaves.path(index)),
        )
        return opening, document.text
    raise DocumentError(
        "holds no such document",
        where=one.name,
        remedy="it may be a duplicate of another, or left out for its personal data",
    )


def _as_committed(text: str, file: DatasetFile) -> str:
    cleaned = clean_text(text)
    if file.personal_data != "mask":
        return cleaned
    scanner = Scanner(file.jurisdictions)
    return scanner.mask(cleaned, scanner.find(cleaned))


def _is_it(document: Document, document_id: str | None, text: str | None) -> bool:
    return document.text == text if text is not None else document.id == document_id

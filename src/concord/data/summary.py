"""What may be said about a member's text: counts, and digests by which the member knows it again.

The counts are what a member may tell; the digests are for its own use.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import Literal

from concord.base.canonical import Json
from concord.base.digest import Digest
from concord.base.errors import DocumentError
from concord.data.documents import Document
from concord.data.duplicates import Verdict
from concord.data.personal import Treated
from concord.data.scripts import ScriptCounter

Part = Literal["train", "heldout"]


@dataclass(frozen=True)
class TextSummary:
    """Counts over a corpus after cleaning; bytes are UTF-8 bytes of cleaned text."""

    documents: int
    """Documents kept: `train_documents + heldout_documents`."""
    bytes: int
    read_documents: int
    """Documents read, before the empty and the duplicate were left out."""
    empty_documents: int
    exact_duplicates: int
    near_duplicates: int
    train_documents: int
    train_bytes: int
    heldout_documents: int
    heldout_bytes: int
    longest_document_bytes: int
    scripts: dict[str, int]
    """Letters kept of each Unicode script, the most frequent first."""
    languages: dict[str, int]
    """Documents kept of each language tag, the most frequent first; the untagged are left out."""
    personal_data: dict[str, int]
    """What the scan for personal data found, see `Treated.to_json`; empty if there was none."""
    train_digest: Digest
    """SHA-256 over the training documents in their order."""
    heldout_digest: Digest

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Json, *, where: object = None) -> TextSummary:
        """Read what `to_json` wrote.

        Raises:
            DocumentError: a field is missing, unknown or of another type.
        """
        types: dict[str, type] = {"train_digest": str, "heldout_digest": str}
        types |= {"scripts": dict, "languages": dict, "personal_data": dict}
        names = {field.name for field in fields(cls)}
        if (
            not isinstance(value, dict)
            or set(value) != names
            or any(not isinstance(value[name], types.get(name, int)) for name in names)
        ):
            raise DocumentError("is no summary of a text", where=where)
        return cls(**value)


class Tally:
    """Adds up what a `TextSummary` says, document by document."""

    def __init__(self) -> None:
        self._verdicts: Counter[Verdict] = Counter()
        self.personal = Treated()
        self._empty = 0
        self._documents: Counter[Part] = Counter()
        self._bytes: Counter[Part] = Counter()
        self._languages: Counter[str] = Counter()
        self._scripts = ScriptCounter()
        self._longest = 0
        self._sha256 = {"train": hashlib.sha256(), "heldout": hashlib.sha256()}

    def empty(self) -> None:
        self._empty += 1

    def judged(self, verdict: Verdict) -> None:
        self._verdicts[verdict] += 1

    def kept(self, part: Part, document: Document, line: bytes) -> None:
        """Count a document that is kept; `line` is the form in which it is stored."""
        size = len(document.text.encode())
        self._documents[part] += 1
        self._bytes[part] += size
        self._longest = max(self._longest, size)
        self._scripts.add(document.text)
        if document.lang:
            self._languages[document.lang] += 1
        self._sha256[part].update(line)

    def summary(self) -> TextSummary:
        return TextSummary(
            documents=self._documents.total(),
            bytes=self._bytes.total(),
            read_documents=self._empty + self._verdicts.total(),
            empty_documents=self._empty,
            exact_duplicates=self._verdicts[Verdict.EXACT],
            near_duplicates=self._verdicts[Verdict.NEAR],
            train_documents=self._documents["train"],
            train_bytes=self._bytes["train"],
            heldout_documents=self._documents["heldout"],
            heldout_bytes=self._bytes["heldout"],
            longest_document_bytes=self._longest,
            scripts=self._scripts.counts(),
            languages=dict(sorted(self._languages.items(), key=lambda pair: (-pair[1], pair[0]))),
            personal_data=self.personal.to_json(),
            train_digest="sha256:" + self._sha256["train"].hexdigest(),
            heldout_digest="sha256:" + self._sha256["heldout"].hexdigest(),
        )

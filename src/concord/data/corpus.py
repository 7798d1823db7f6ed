"""From files to cleaned, distinct documents, each with its part: train or held out.

Documents that are held out separately are read first, so that a training document which repeats
one of them, exactly or nearly, is the one left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from concord.base.errors import CorpusEmpty, CorpusTooSmall
from concord.data.batching import batches
from concord.data.cleaning import clean_text
from concord.data.documents import Document, content_id
from concord.data.duplicates import NEAR_THRESHOLD, DuplicateFilter, Verdict
from concord.data.readers import OnProgress, read_sources
from concord.data.sources import SourceFile, find_sources, total_bytes
from concord.data.split import HeldoutSplit
from concord.data.summary import Part, Tally, TextSummary


@dataclass(frozen=True)
class Corpus:
    """The files of one member and how they are read.

    Args:
        heldout: Files of documents that are held out whatever the split says.
        split: Holds out documents of `text`; without it all of them are for training.
    """

    text: Sequence[SourceFile]
    heldout: Sequence[SourceFile]
    split: HeldoutSplit | None
    text_key: str
    near_threshold: float

    @classmethod
    def find(
        cls,
        paths: Iterable[Path],
        heldout_paths: Iterable[Path] | None,
        *,
        split: HeldoutSplit | None,
        text_key: str = "text",
        near_threshold: float = NEAR_THRESHOLD,
    ) -> Corpus:
        """Find the files.

        Raises:
            CorpusNotFound, CorpusUnreadable: see `find_sources`.
        """
        apart = list(heldout_paths or ())
        heldout = find_sources(apart) if apart else []
        return cls(find_sources(paths), heldout, split, text_key, near_threshold)

    def documents(
        self, tally: Tally, on_progress: OnProgress | None = None
    ) -> Iterator[tuple[Part, bytes]]:
        """Yield part and stored line of each document that is kept, and count in `tally`.

        Raises:
            CorpusUnreadable: a file is damaged or not of the form its name says.
        """
        filter_ = DuplicateFilter(self.near_threshold)
        before, total = total_bytes(self.heldout), total_bytes([*self.heldout, *self.text])
        for sources, done in ((self.heldout, 0), (self.text, before)):
            progress = None if on_progress is None else _shifted(on_progress, done, total)
            documents = read_sources(sources, text_key=self.text_key, on_progress=progress)
            for document in _distinct(_cleaned(documents, tally), filter_, tally):
                part = self._part(document, sources is self.heldout)
                line = stored_line(document)
                tally.kept(part, document, line)
                yield part, line

    def check(self, summary: TextSummary) -> None:
        """See that there is text to train on and, where some shall be held out, to measure on.

        Raises:
            CorpusEmpty: no document is left after cleaning.
            CorpusTooSmall: all documents fell on one side.
        """
        where = ", ".join(sorted({str(source.path) for source in self.text[:2]}))
        if len(self.text) > 2:
            where += f" and {len(self.text) - 2:,} more files"
        if not summary.documents:
            raise CorpusEmpty("holds no text", where=where, remedy="give files that hold text")
        if not summary.train_documents:
            raise CorpusTooSmall(
                "leaves no document to train on", where=where, remedy="add documents"
            )
        if (self.heldout or self.split is not None) and not summary.heldout_documents:
            raise CorpusTooSmall(
                f"leaves none of {summary.documents:,} documents to hold out",
                where=where,
                remedy="add documents, name held-out files, or raise the held-out share",
            )

    def _part(self, document: Document, apart: bool) -> Part:
        if apart:
            return "heldout"
        if self.heldout or self.split is None:
            return "train"
        return "heldout" if self.split.holds_out(document.id) else "train"


def stored_line(document: Document) -> bytes:
    """A document as a line of JSON."""
    value = {"id": document.id, "lang": document.lang, "text": document.text}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _shifted(on_progress: OnProgress, before: int, total: int) -> OnProgress:
    return lambda done, _: on_progress(before + done, total)


def _cleaned(documents: Iterable[Document], tally: Tally) -> Iterator[Document]:
    for document in documents:
        text = clean_text(document.text)
        if text:
            yield Document(document.id or content_id(text), text, document.lang)
        else:
            tally.empty()


def _length(document: Document) -> int:
    return len(document.text)


def _distinct(
    documents: Iterable[Document], filter_: DuplicateFilter, tally: Tally
) -> Iterator[Document]:
    for batch in batches(documents, _length):
        verdicts = filter_.judge([document.text for document in batch])
        for document, verdict in zip(batch, verdicts, strict=True):
            tally.judged(verdict)
            if verdict is Verdict.NEW:
                yield document

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
from concord.data.personal import PersonalDataRule
from concord.data.readers import OnProgress, read_sources
from concord.data.sources import SourceFile, find_sources, total_bytes
from concord.data.split import HeldoutSplit
from concord.data.summary import Part, Tally, TextSummary


@dataclass(frozen=True)
class TextPart:
    """Files that are read alike, such as those of one dataset.

    Args:
        heldout: Files of documents that are held out whatever the split says.
        personal: What is done with documents that hold personal data; None does not look for any.
    """

    text: Sequence[SourceFile]
    heldout: Sequence[SourceFile] = ()
    text_key: str = "text"
    personal: PersonalDataRule | None = None

    @classmethod
    def find(
        cls,
        paths: Iterable[Path],
        heldout_paths: Iterable[Path] | None = None,
        *,
        text_key: str = "text",
        personal: PersonalDataRule | None = None,
    ) -> TextPart:
        """Find the files.

        Raises:
            CorpusNotFound, CorpusUnreadable: see `find_sources`.
        """
        apart = list(heldout_paths or ())
        heldout = find_sources(apart) if apart else []
        return cls(find_sources(paths), heldout, text_key, personal)


@dataclass(frozen=True)
class Corpus:
    """The files of one member and how they are read.

    Args:
        split: Holds out documents of parts that name no held-out files; without it all of theirs
            are for training.
    """

    parts: Sequence[TextPart]
    split: HeldoutSplit | None
    near_threshold: float = NEAR_THRESHOLD

    def documents(
        self, tally: Tally, on_progress: OnProgress | None = None
    ) -> Iterator[tuple[Part, Document, bytes]]:
        """Yield part, document and stored line of each document that is kept, and count in `tally`.

        Raises:
            CorpusUnreadable: a file is damaged or not of the form its name says.
            DocumentError: a part's rule names a jurisdiction whose ids are not known.
        """
        filter_ = DuplicateFilter(self.near_threshold)
        rounds = [(part, part.heldout) for part in self.parts]
        rounds += [(part, part.text) for part in self.parts]
        total, done = sum(total_bytes(sources) for _, sources in rounds), 0
        for part, sources in rounds:
            progress = None if on_progress is None else _shifted(on_progress, done, total)
            read = read_sources(sources, text_key=part.text_key, on_progress=progress)
            distinct = _distinct(_cleaned(read, tally), filter_, tally)
            for document in _treated(distinct, part.personal, tally):
                side = self._side(document, part, apart=sources is part.heldout)
                line = stored_line(document)
                tally.kept(side, document, line)
                yield side, document, line
            done += total_bytes(sources)

    def check(self, summary: TextSummary) -> None:
        """See that there is text to train on and, where some shall be held out, to measure on.

        Raises:
            CorpusEmpty: no document is left after cleaning.
            CorpusTooSmall: all documents fell on one side.
        """
        text = [source for part in self.parts for source in part.text]
        where = ", ".join(sorted({str(source.path) for source in text[:2]}))
        if len(text) > 2:
            where += f" and {len(text) - 2:,} more files"
        if not summary.documents and summary.personal_data.get("left_out"):
            raise CorpusEmpty(
                "holds personal data in every document, and all are left out",
                where=where,
                remedy='mask it instead: personal_data = "mask"',
            )
        if not summary.documents:
            raise CorpusEmpty("holds no text", where=where, remedy="give files that hold text")
        if not summary.train_documents:
            raise CorpusTooSmall(
                "leaves no document to train on", where=where, remedy="add documents"
            )
        some = self.split is not None or any(part.heldout for part in self.parts)
        if some and not summary.heldout_documents:
            raise CorpusTooSmall(
                f"leaves none of {summary.documents:,} documents to hold out",
                where=where,
                remedy="add documents, name held-out files, or raise the held-out share",
            )

    def _side(self, document: Document, part: TextPart, *, apart: bool) -> Part:
        if apart:
            return "heldout"
        if part.heldout or self.split is None:
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


def _treated(
    documents: Iterable[Document], rule: PersonalDataRule | None, tally: Tally
) -> Iterator[Document]:
    if rule is None:
        yield from documents
        return
    apply = rule.applied()
    for document in documents:
        kept = apply(document, tally.personal)
        if kept is not None:
            yield kept


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

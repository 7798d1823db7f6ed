"""The record of a dataset: its text is read once, counted, scanned, and committed to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date

import langcodes
from pydantic import ValidationError

from concord.base.errors import CorpusTooSmall, DocumentError
from concord.charter.dataset import (
    Commitment,
    DatasetCounts,
    DatasetDocument,
    Held,
    PersonalData,
)
from concord.charter.document import describe
from concord.charter.run_sections import EvaluationSpec
from concord.crypto.commitments import Leaves, document_leaf, document_salt
from concord.data.corpus import Corpus, TextPart
from concord.data.documents import Document
from concord.data.personal import SCANNER
from concord.data.personal.scan import FOUND
from concord.data.prepare import prepare_parts
from concord.data.readers import OnProgress
from concord.data.summary import Tally, TextSummary
from concord.federation.datasets.files import (
    Dataset,
    DatasetFile,
    Made,
    commitment_secret,
    datasets,
    sources_digest,
    split_key,
)


def kept_documents(
    part: TextPart, tally: Tally, on_progress: OnProgress | None = None
) -> Iterator[Document]:
    """Documents as they are trained and measured on: cleaned, distinct, and treated."""
    for _, document, _ in Corpus([part], None).documents(tally, on_progress):
        yield document


def make_record(
    one: Dataset,
    file: DatasetFile,
    *,
    name: str,
    today: date,
    on_progress: OnProgress | None = None,
) -> Made:
    """Read a dataset's text once: count it, scan it, and commit to it.

    Args:
        one: The dataset.
        file: Its file.
        name: The member's name in words.
        today: The day of the record.
        on_progress: Told the bytes of files read, and their sum.

    Raises:
        CorpusNotFound, CorpusUnreadable, CorpusEmpty: the text cannot be used.
        DocumentError: the terms cannot be recorded, such as an expiry that is past.
    """
    _check_terms(one, file, today)
    part = one.part(file, always_scan=True)
    secret, leaves = commitment_secret(one.member), bytearray()

    def commit(document: Document) -> None:
        nonlocal leaves
        leaves += document_leaf(document_salt(secret, document.id), document.text.encode())

    summary = _prepared(one, part, commit, on_progress)
    if summary is None:
        leaves.clear()
        tally = Tally()
        for document in kept_documents(part, tally, on_progress):
            commit(document)
        summary = tally.summary()
        Corpus([part], None).check(summary)
    root = Leaves(bytes(leaves)).root().hex()
    try:
        made = DatasetDocument(
            held=Held(member=one.member.id, dataset=one.name, name=name),
            recorded=today,
            terms=file.terms,
            counts=_counts(summary, file),
            personal_data=_personal(summary, file),
            commitment=Commitment(root=root, size=summary.documents),
        )
    except ValidationError as error:
        raise DocumentError(describe(error), where=one.path, remedy="correct the field") from error
    return Made(made, bytes(leaves), sources_digest(part))


def _prepared(
    one: Dataset,
    part: TextPart,
    commit: Callable[[Document], None],
    on_progress: OnProgress | None,
) -> TextSummary | None:
    """Prepare the text for a run while it is read; None if it is to be read without.

    That saves a member's first run the same reading. It is done only for a member's only dataset,
    and where nothing was prepared yet: another run may be using that.
    """
    folder = one.member.open_private("documents")
    if any(folder.iterdir()) or any(other.name != one.name for other in datasets(one.member)):
        return None
    try:
        return prepare_parts(
            [part],
            folder,
            key=split_key(one.member),
            heldout_share=EvaluationSpec().heldout_share,
            on_progress=on_progress,
            on_document=commit,
        )
    except CorpusTooSmall:  # for a run, not for a record
        return None


def _check_terms(one: Dataset, file: DatasetFile, today: date) -> None:
    if file.expires <= today:
        raise DocumentError(
            f"expires: {file.expires} is past",
            where=one.path,
            remedy="name the day from which on the text is used no more",
        )
    for tag in file.languages:
        if not langcodes.tag_is_valid(tag):
            raise DocumentError(
                f"languages: {tag!r} is no registered language tag",
                where=one.path,
                remedy="use one of the IANA registry, such as 'sw', 'yue' or 'kk-Cyrl'",
            )


def _counts(summary: TextSummary, file: DatasetFile) -> DatasetCounts:
    return DatasetCounts(
        documents=summary.documents,
        bytes=summary.bytes,
        exact_duplicates=summary.exact_duplicates,
        near_duplicates=summary.near_duplicates,
        empty_documents=summary.empty_documents,
        languages=_languages(summary, file),
        scripts=summary.scripts,
    )


def _languages(summary: TextSummary, file: DatasetFile) -> dict[str, int]:
    """Documents of each declared language. Other tags of the source are not repeated: they are text
    that nobody has looked at."""
    declared = {_primary(tag): tag for tag in file.languages}
    found: Counter[str] = Counter()
    for tag, count in summary.languages.items():
        language = _primary(tag)
        if language in declared:
            found[declared[language]] += count
    return dict(found)


def _primary(tag: str) -> str | None:
    """The language of a tag, such as `sw` of `swh_Latn`."""
    try:
        language = langcodes.get(langcodes.standardize_tag(tag, macro=True)).language
    except ValueError:  # LanguageTagError is one
        return None
    return None if language is None else str(language)


def _personal(summary: TextSummary, file: DatasetFile) -> PersonalData:
    counts = summary.personal_data
    return PersonalData(
        scanner=SCANNER,
        jurisdictions=file.jurisdictions,
        treatment=file.personal_data,
        scanned_documents=counts["scanned_documents"],
        documents=counts["documents"],
        masked=counts["masked"],
        left_out=counts["left_out"],
        found={k.removeprefix(FOUND): n for k, n in counts.items() if k.startswith(FOUND)},
    )

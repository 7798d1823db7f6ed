"""A member's text made ready: cleaned, distinct documents in two private files, and a summary.

    <folder>/train.jsonl.zst      documents to train on, a JSON object a line: id, lang, text
    <folder>/heldout.jsonl.zst    documents to measure on
    <folder>/summary.json         what was read, from which files; written last

The folder is readable by its owner only. A preparation that is interrupted leaves either the
earlier state or none; one that is repeated with the same files and options is not done again.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import zstandard

from concord.base.canonical import Json, canonical_json, parse_json
from concord.base.digest import Digest, digest_json
from concord.base.errors import ConcordError, CorpusNotFound
from concord.base.files import atomic_file, private_folder, remove_torn, write_atomic
from concord.data.corpus import Corpus, TextPart
from concord.data.documents import Document
from concord.data.duplicates import NEAR_THRESHOLD
from concord.data.personal import SCANNER, PersonalDataRule
from concord.data.readers import OnProgress, read_documents
from concord.data.sources import SourceFile
from concord.data.split import HeldoutSplit
from concord.data.summary import Part, Tally, TextSummary

__all__ = [
    "OnProgress",
    "TextSummary",
    "check_text",
    "prepare_parts",
    "prepare_text",
    "read_prepared",
]

VERSION = 2
"""Of cleaning, of deduplication and of the files; another version prepares anew."""
_MODE = 0o600
_PARTS: tuple[Part, ...] = ("train", "heldout")


def prepare_parts(
    parts: Sequence[TextPart],
    folder: Path,
    *,
    key: bytes,
    heldout_share: float,
    near_threshold: float = NEAR_THRESHOLD,
    on_progress: OnProgress | None = None,
    on_document: Callable[[Document], None] | None = None,
) -> TextSummary:
    """Clean the documents of all parts and write them to the private `folder`.

    Args:
        key: The member's secret, 16 to 64 bytes, on which the held-out split depends.
        heldout_share: Expected share of documents to hold out, 0 to 1. Not used for parts that name
            documents that are held out already.
        near_threshold: See `DuplicateFilter`.
        on_progress: Told the bytes of files read, and their sum.
        on_document: Shown each document that is kept, in the order of reading; of an earlier
            preparation that is taken as it is, none.

    Raises:
        CorpusUnreadable, CorpusEmpty, CorpusTooSmall: the text cannot be used.
        DocumentError: an option is out of range.
        StorageError: the disk is full or the folder cannot be written.
    """
    split = HeldoutSplit(key, heldout_share)
    corpus = Corpus(parts, split if heldout_share > 0 else None, near_threshold)
    fingerprint = _fingerprint(corpus, split)
    private_folder(folder)
    earlier = _earlier(folder, fingerprint)
    if earlier is not None:
        return earlier
    remove_torn(folder)
    summary = _write_parts(corpus, folder, on_progress, on_document)
    record = {"fingerprint": fingerprint, "summary": summary.to_json()}
    write_atomic(_summary_path(folder), canonical_json(record), mode=_MODE)
    return summary


def prepare_text(
    paths: Iterable[Path],
    folder: Path,
    *,
    key: bytes,
    heldout_share: float,
    heldout_paths: Iterable[Path] | None = None,
    text_key: str = "text",
    near_threshold: float = NEAR_THRESHOLD,
    on_progress: OnProgress | None = None,
) -> TextSummary:
    """Do what `prepare_parts` does with files and folders that are read alike.

    Args:
        heldout_paths: Files or folders of documents that are only measured on.
        text_key: Key or column that holds the text.

    Raises:
        CorpusNotFound: a path leads nowhere; else see `prepare_parts`.
    """
    return prepare_parts(
        [TextPart.find(paths, heldout_paths, text_key=text_key)],
        folder,
        key=key,
        heldout_share=heldout_share,
        near_threshold=near_threshold,
        on_progress=on_progress,
    )


def read_prepared(folder: Path, part: Part) -> Iterator[Document]:
    """Read the documents of one part, in the order in which they were written.

    Raises:
        CorpusNotFound: the folder holds no finished preparation.
        CorpusUnreadable: the file was damaged since.
    """
    if not _summary_path(folder).exists():
        raise CorpusNotFound(
            "holds no prepared text", where=folder, remedy="prepare the text first"
        )
    return read_documents([_part_path(folder, part)])


def check_text(
    paths: Iterable[Path],
    *,
    heldout_paths: Iterable[Path] | None = None,
    key: bytes | None = None,
    heldout_share: float = 0.0,
    text_key: str = "text",
    near_threshold: float = NEAR_THRESHOLD,
    personal: PersonalDataRule | None = None,
    on_progress: OnProgress | None = None,
) -> TextSummary:
    """Do all that `prepare_text` does, write nothing, and return the same summary.

    Without a key no document of `paths` is counted as held out.

    Args:
        personal: What would be done with documents that hold personal data.

    Raises:
        CorpusNotFound, CorpusUnreadable, CorpusEmpty, CorpusTooSmall: the text cannot be used.
        DocumentError: an option is out of range.
    """
    split = HeldoutSplit(key, heldout_share) if key is not None and heldout_share > 0 else None
    part = TextPart.find(paths, heldout_paths, text_key=text_key, personal=personal)
    corpus = Corpus([part], split, near_threshold)
    tally = Tally()
    for _ in corpus.documents(tally, on_progress):
        pass
    summary = tally.summary()
    corpus.check(summary)
    return summary


def prepared_earlier(folder: Path) -> TextSummary | None:
    """What lies prepared in `folder`, of whichever files; None if nothing whole does."""
    return _earlier(folder, None)


def _fingerprint(corpus: Corpus, split: HeldoutSplit) -> Digest:
    return digest_json(
        {
            "version": VERSION,
            "unicode": unicodedata.unidata_version,
            "parts": [_part_described(part) for part in corpus.parts],
            "split": split.fingerprint(),
            "near_threshold": corpus.near_threshold,
        }
    )


def _part_described(part: TextPart) -> dict[str, Json]:
    rule = part.personal
    return {
        "text": [_described(source) for source in part.text],
        "heldout": [_described(source) for source in part.heldout],
        "text_key": part.text_key,
        # Looking for personal data changes nothing where it is kept.
        "personal": None
        if rule is None or rule.treatment == "keep"
        else [SCANNER, rule.treatment, *rule.jurisdictions],
    }


def _described(source: SourceFile) -> list[str]:
    return [source.name, str(source.bytes), str(source.mtime_ns)]


def _earlier(folder: Path, fingerprint: Digest | None) -> TextSummary | None:
    path = _summary_path(folder)
    try:
        record = parse_json(path.read_bytes(), where=path)
        summary = TextSummary.from_json(record["summary"], where=path)
        complete = fingerprint in (None, record["fingerprint"])
    except (OSError, ConcordError, KeyError, TypeError):
        return None
    complete = complete and all(_part_path(folder, part).exists() for part in _PARTS)
    return summary if complete else None


def _part_path(folder: Path, part: Part) -> Path:
    return folder / f"{part}.jsonl.zst"


def _summary_path(folder: Path) -> Path:
    return folder / "summary.json"


def _write_parts(
    corpus: Corpus,
    folder: Path,
    on_progress: OnProgress | None,
    on_document: Callable[[Document], None] | None,
) -> TextSummary:
    tally = Tally()
    with (
        atomic_file(_part_path(folder, "train"), mode=_MODE) as train_file,
        atomic_file(_part_path(folder, "heldout"), mode=_MODE) as heldout_file,
    ):
        with _compressed(train_file) as train, _compressed(heldout_file) as heldout:
            for part, document, line in corpus.documents(tally, on_progress):
                if on_document is not None:
                    on_document(document)
                (heldout if part == "heldout" else train).write(line)
        summary = tally.summary()
        corpus.check(summary)
        for file in (train_file, heldout_file):
            file.flush()
            os.fsync(file.fileno())
        # From here until the new summary is written the folder counts as not prepared.
        _summary_path(folder).unlink(missing_ok=True)
    return summary


def _compressed(file: BinaryIO) -> BinaryIO:
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    return compressor.stream_writer(file, closefd=False)

"""Documents from .txt, .jsonl and .parquet files, one at a time.

    .txt      up to 64 Ki characters: the file is one document. Longer: each block between blank
              lines is one, and a block over 64 Ki characters is cut at the ends of lines.
    .jsonl    one object a line with the text under `text_key`, and optionally `id` and `lang`.
    .parquet  the columns `text_key`, and optionally `id` and `lang`; read in batches of rows.

A null text counts as an empty document. Nothing of a member's text enters an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from concord.base.errors import CorpusUnreadable
from concord.data.documents import Document
from concord.data.parquet import read_rows
from concord.data.sources import SourceFile, find_sources, total_bytes
from concord.data.streams import read_lines

WHOLE_FILE_CHARACTERS = 1 << 16
PROGRESS_BYTES = 1 << 20
OnProgress = Callable[[int, int], None]
_LANGUAGE_TAG = re.compile(r"[A-Za-z0-9]+([_-][A-Za-z0-9]+)*")
MAX_TAG = 35
"""BCP 47, section 4.4.1: the length that every implementation takes."""


def read_documents(
    paths: Iterable[Path], *, text_key: str = "text", on_progress: OnProgress | None = None
) -> Iterator[Document]:
    """Read all documents of files and folders, as they stand there.

    Raises:
        CorpusNotFound: a path leads nowhere or to no file of a known kind.
        CorpusUnreadable: a file is damaged or not of the form its name says.
    """
    return read_sources(find_sources(paths), text_key=text_key, on_progress=on_progress)


def read_sources(
    sources: Sequence[SourceFile], *, text_key: str, on_progress: OnProgress | None = None
) -> Iterator[Document]:
    """Read all documents of files already found; see `read_documents`."""
    meter = _Meter(total_bytes(sources), on_progress)
    for source in sources:
        yield from _READERS[source.kind](source, text_key, meter.at)
        meter.finished(source.bytes)


class _Meter:
    """Adds up the bytes read and tells of them once a mebibyte."""

    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self._total = total
        self._on_progress = on_progress
        self._before = 0
        self._told = 0

    def at(self, position: int) -> None:
        if self._before + position >= self._told + PROGRESS_BYTES:
            self._tell(self._before + position)

    def finished(self, size: int) -> None:
        self._before += size
        self._tell(self._before)

    def _tell(self, done: int) -> None:
        self._told = done
        if self._on_progress is not None:
            self._on_progress(min(done, self._total), self._total)


def _read_txt(source: SourceFile, _: str, at: Callable[[int], None]) -> Iterator[Document]:
    lines = (line for _, line in read_lines(source, at))
    head: list[str] = []
    size = 0
    for line in lines:
        head.append(line)
        size += len(line)
        if size > WHOLE_FILE_CHARACTERS:
            break
    else:
        yield Document("", "".join(head))
        return
    yield from _blocks(chain(head, lines))


def _blocks(lines: Iterable[str]) -> Iterator[Document]:
    block: list[str] = []
    size = 0
    for line in lines:
        blank = not line.strip()
        if block and (blank or size + len(line) > WHOLE_FILE_CHARACTERS):
            yield Document("", "".join(block))
            block, size = [], 0
        if not blank:
            block.append(line)
            size += len(line)
    if block:
        yield Document("", "".join(block))


def _read_jsonl(source: SourceFile, text_key: str, at: Callable[[int], None]) -> Iterator[Document]:
    for number, line in read_lines(source, at):
        if line.strip():
            place = f"line {number:,}"
            fields = _json_object(line, source, place)
            if text_key not in fields:
                _refuse(source, place, f"has no key {text_key!r}", "name the key that holds it")
            yield _document(fields, source, place, text_key)


def _json_object(line: str, source: SourceFile, place: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} at column {error.colno:,}"
    except (ValueError, RecursionError):
        problem = "is not JSON that can be read"
    else:
        if isinstance(fields, dict):
            return fields
        problem = "is not a JSON object"
    return _refuse(source, place, problem, "write one JSON object a line")


def _read_parquet(
    source: SourceFile, text_key: str, at: Callable[[int], None]
) -> Iterator[Document]:
    for number, fields in read_rows(source, text_key, ("id", "lang"), at):
        yield _document(fields, source, f"row {number:,}", text_key)


def _document(fields: dict[str, Any], source: SourceFile, place: str, text_key: str) -> Document:
    text, name, lang = fields[text_key], fields.get("id"), fields.get("lang")
    if text is None:
        text = ""
    if not isinstance(text, str):
        _refuse(source, place, f"holds no text under {text_key!r}", "name the key that holds it")
    if not (name is None or isinstance(name, int | str)) or isinstance(name, bool):
        _refuse(source, place, "has an id that is neither text nor a whole number", "correct it")
    if isinstance(name, str) and not _is_unicode(name):
        _refuse(source, place, "has an id with half a surrogate pair", "correct it")
    if lang is not None and not _is_tag(lang):
        _refuse(source, place, "has a lang that is no language tag", "write one such as 'sw'")
    return Document("" if name is None else str(name), text, lang or "")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_tag(lang: object) -> bool:
    # Counts per tag leave the member, so nothing but a tag may pass here.
    if not isinstance(lang, str):
        return False
    return lang == "" or (len(lang) <= MAX_TAG and bool(_LANGUAGE_TAG.fullmatch(lang)))


def _refuse(source: SourceFile, place: str, problem: str, remedy: str) -> NoReturn:
    raise CorpusUnreadable(f"{place} {problem}", where=source.path, remedy=remedy)


_READERS = {"txt": _read_txt, "jsonl": _read_jsonl, "parquet": _read_parquet}

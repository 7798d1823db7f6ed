"""The parallel set: the same sentences in each language, public, for the tokenizer and its measure.

One file per language, `<language>.txt`, plain or `.gz`, line by line the same sentences. The first
lines serve to learn the tokenizer, the rest to measure it: what was learned on is no measure.
"""

from __future__ import annotations

import gzip
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from concord.base.errors import CorpusNotFound, CorpusUnreadable

MAX_FILE_BYTES = 64 << 20
"""Unpacked; a small packed file may claim to be any size."""
Lines = dict[str, list[str]]
LEARN_PERCENT = 49
"""Less than the dev part of FLORES-200 (997 of 2,009 lines), so that devtest stays unseen."""


@dataclass(frozen=True)
class ParallelSet:
    """The two halves, by language."""

    learn: Lines
    measure: Lines


def read_parallel(folder: Path, languages: Sequence[str]) -> ParallelSet:
    """Read the languages' files.

    Raises:
        CorpusNotFound: a language has no file.
        CorpusUnreadable: a file is damaged, or files differ in their number of lines.
    """
    lines = {language: _read_lines(folder, language) for language in sorted(languages)}
    counts = {language: len(found) for language, found in lines.items()}
    if len(set(counts.values())) > 1 or not all(counts.values()):
        described = ", ".join(f"{language} {count}" for language, count in counts.items())
        raise CorpusUnreadable(
            f"files differ in lines, so they are not translations line by line: {described}",
            where=folder,
            remedy="give files with the same sentences in the same order",
        )
    learned = max(1, min(counts.values()) * LEARN_PERCENT // 100)
    return ParallelSet(
        learn={language: found[:learned] for language, found in lines.items()},
        measure={language: found[learned:] for language, found in lines.items()},
    )


def languages_in(folder: Path) -> list[str]:
    """Languages of which the folder holds a file.

    Raises:
        CorpusNotFound: it holds none.
    """
    found = {path.name.partition(".txt")[0] for path in folder.glob("*.txt*")}
    if not found:
        raise CorpusNotFound(
            "holds no parallel set", where=folder, remedy="give <language>.txt or .txt.gz files"
        )
    return sorted(found)


def _read_lines(folder: Path, language: str) -> list[str]:
    path = folder / f"{language}.txt"
    packed = folder / f"{language}.txt.gz"
    try:
        if packed.exists():
            path = packed
        with gzip.open(path) if packed.exists() else path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8")
    except FileNotFoundError as error:
        raise CorpusNotFound(
            f"holds no {language}.txt or {language}.txt.gz",
            where=folder,
            remedy="name another tokenizer.parallel, or other languages in the roster",
        ) from error
    except (OSError, EOFError, UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise CorpusUnreadable(
            "is damaged or not UTF-8", where=path, remedy="restore the file"
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise CorpusUnreadable(
            f"holds more than {MAX_FILE_BYTES >> 20} MiB", where=path, remedy="give fewer lines"
        )
    return [unicodedata.normalize("NFC", line) for line in text.rstrip("\n").split("\n")]

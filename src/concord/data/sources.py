"""Which files make up a corpus, in an order that does not depend on the file system."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from concord.base.errors import CorpusNotFound, CorpusUnreadable

Kind = Literal["txt", "jsonl", "parquet"]
Compression = Literal["", "gz", "zst"]
SUFFIXES: dict[str, tuple[Kind, Compression]] = {
    ".txt": ("txt", ""),
    ".txt.gz": ("txt", "gz"),
    ".txt.zst": ("txt", "zst"),
    ".jsonl": ("jsonl", ""),
    ".jsonl.gz": ("jsonl", "gz"),
    ".jsonl.zst": ("jsonl", "zst"),
    ".parquet": ("parquet", ""),
}
REMEDY = "give files, or folders of files, that end in " + ", ".join(SUFFIXES)


@dataclass(frozen=True)
class SourceFile:
    """A file of a corpus; `name` is relative to the folder that was given."""

    path: Path
    name: str
    kind: Kind
    compression: Compression
    bytes: int
    mtime_ns: int


def find_sources(paths: Iterable[Path]) -> list[SourceFile]:
    """List the files of a corpus: each path in turn, folders recursively and sorted by name.

    Hidden files and files of another kind inside a folder are passed over; a file that two paths
    lead to is listed once.

    Raises:
        CorpusNotFound: a path leads nowhere or to no file of a known kind.
        CorpusUnreadable: a folder or file may not be read.
    """
    found: dict[Path, SourceFile] = {}
    for path in paths:
        if not path.exists():
            raise CorpusNotFound("does not exist", where=path, remedy="correct the path")
        sources = list(_in_folder(path)) if path.is_dir() else [_source(path, path.name)]
        known = [source for source in sources if source is not None]
        if not known:
            what = "holds no file of a known kind" if path.is_dir() else "is of no known kind"
            raise CorpusNotFound(what, where=path, remedy=REMEDY)
        for source in known:
            found.setdefault(source.path.resolve(), source)
    if not found:
        raise CorpusNotFound("no path was given", remedy=REMEDY)
    return list(found.values())


def total_bytes(sources: Sequence[SourceFile]) -> int:
    return sum(source.bytes for source in sources)


def _in_folder(folder: Path) -> Iterator[SourceFile | None]:
    names = []
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names += [
            (Path(parent) / name).relative_to(folder).as_posix()
            for name in files
            if not name.startswith(".")
        ]
    for name in sorted(names):
        yield _source(folder / name, name)


def _source(path: Path, name: str) -> SourceFile | None:
    lowered = path.name.lower()
    for suffix, (kind, compression) in SUFFIXES.items():
        if lowered.endswith(suffix):
            try:
                status = path.stat()
            except OSError as error:
                _refuse(error)
            return SourceFile(path, name, kind, compression, status.st_size, status.st_mtime_ns)
    return None


def _refuse(error: OSError) -> None:
    raise CorpusUnreadable(
        f"cannot be read: {error.strerror}", where=error.filename, remedy="check who owns it"
    ) from error

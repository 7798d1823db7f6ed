"""Where files come from: a folder, or a host that serves one over HTTP."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from concord import __version__
from concord.base.errors import DocumentError, FetchFailed

TIMEOUT_S = 30.0
"""Without a byte for so long, a connection counts as lost. Assumption."""
NOT_THERE = (403, 404, 410)
NO_SUCH_RANGE = 416


class Stream(Protocol):
    """Bytes as they come."""

    def read1(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Opened:
    """A file from some byte on.

    Attributes:
        start: The first byte that comes: the one asked for, or 0 where a host knows no ranges.
    """

    start: int
    stream: Stream


class Source(Protocol):
    """What `fetch_release` reads."""

    def open(self, path: str, start: int = 0) -> AbstractContextManager[Opened]:
        """A file of the release from byte `start` on.

        Raises:
            FetchFailed: it is not there.
            OSError, http.client.HTTPException: the host cannot be reached, or was lost.
        """

    def where(self, path: str) -> str:
        """The file's place, for messages."""


@dataclass(frozen=True)
class FolderSource:
    """A copy on a disk."""

    root: Path

    @contextmanager
    def open(self, path: str, start: int = 0) -> Iterator[Opened]:
        file = self.root / path
        if not file.is_file():
            raise FetchFailed("is not there", where=file, remedy="ask for another copy")
        with file.open("rb") as stream:
            stream.seek(start)
            yield Opened(start, stream)

    def where(self, path: str) -> str:
        return str(self.root / path)


@dataclass(frozen=True)
class HttpSource:
    """A host of files; ranges are used where it knows them."""

    root: str

    @contextmanager
    def open(self, path: str, start: int = 0) -> Iterator[Opened]:
        headers = {"User-Agent": f"concord/{__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        request = urllib.request.Request(self.where(path), headers=headers)  # noqa: S310
        try:
            answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == NO_SUCH_RANGE:
                with self.open(path) as opened:
                    yield opened
                return
            if error.code in NOT_THERE:
                raise FetchFailed(
                    f"is not there (HTTP {error.code})",
                    where=self.where(path),
                    remedy="check the address, or ask for another copy",
                ) from error
            raise ConnectionError(f"HTTP {error.code}") from error
        with answer:
            yield Opened(start if _begins_at(answer, start) else 0, answer)

    def where(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{urllib.parse.quote(path)}"


def _begins_at(answer: http.client.HTTPResponse, start: int) -> bool:
    partial = answer.status == http.client.PARTIAL_CONTENT
    return partial and answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def source_at(place: str) -> Source:
    """A folder, or an address of http or https.

    Raises:
        DocumentError: it is neither.
    """
    scheme = urllib.parse.urlsplit(place).scheme.lower()
    if scheme in ("http", "https"):
        return HttpSource(place)
    folder = Path(place)
    if not folder.is_dir():
        raise DocumentError(
            f"{place[:200]!r} is no folder, and no address of http or https",
            where="SOURCE",
            remedy="give where a release lies",
        )
    return FolderSource(folder)

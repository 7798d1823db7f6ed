"""Statements that wait for the log while another process writes it.

log/inbox/<digest>.json         waits
log/inbox/<digest>.refused      why it was refused
"""

from __future__ import annotations

from pathlib import Path

from concord.base.digest import digest_bytes
from concord.base.files import storage_errors, write_atomic
from concord.ledger.tiles import MAX_ENTRY_BYTES

MAX_WAITING = 10_000


class Inbox:
    """A folder beside the log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hand_in(self, data: bytes) -> Path:
        """Leave an entry for whoever writes the log."""
        path = self._folder / f"{digest_bytes(data)[7:]}.json"
        with storage_errors(path):
            self._folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
        return path

    def waiting(self) -> list[tuple[str, bytes]]:
        """Names and bytes of what waits, in the order in which it came."""
        if not self._folder.is_dir():
            return []
        paths = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        return [(path.stem, _read(path)) for path in paths[:MAX_WAITING]]

    def refused(self) -> list[tuple[str, str]]:
        """Names of what was refused, with the reasons."""
        paths = sorted(self._folder.glob("*.refused")) if self._folder.is_dir() else []
        return [(path.stem, path.read_text(errors="replace").strip()) for path in paths]

    def done(self, name: str) -> None:
        """It is in the log."""
        (self._folder / f"{name}.json").unlink(missing_ok=True)

    def refuse(self, name: str, reason: str) -> None:
        """It may not enter; the reason lies in its place."""
        write_atomic(self._folder / f"{name}.refused", reason.encode() + b"\n")
        self.done(name)


def _read(path: Path) -> bytes:
    with storage_errors(path), path.open("rb") as stream:
        return stream.read(MAX_ENTRY_BYTES + 1)

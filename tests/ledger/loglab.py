"""A log for tests: known entries, the log's key, and signed checkpoints."""

from __future__ import annotations

from pathlib import Path

from concord.crypto.keys import PrivateKey
from concord.crypto.notes import Checkpoint, Note, sign_checkpoint
from concord.ledger.log import Log

ORIGIN = "log.example/atlas"
LOG_KEY = PrivateKey.from_seed(b"log".ljust(32))


def entry(number: int) -> bytes:
    """An entry that is known by its number; some are empty, some are long."""
    return b"%d " % number * (number % 7)


def entries(begin: int, end: int) -> list[bytes]:
    return [entry(number) for number in range(begin, end)]


def signed(size: int, root: bytes, *, origin: str = ORIGIN, key: PrivateKey = LOG_KEY) -> Note:
    checkpoint = Checkpoint(origin, size, root)
    return Note(checkpoint, (sign_checkpoint(checkpoint, origin, key),))


def publish(log: Log, size: int | None = None) -> Note:
    size = log.size if size is None else size
    note = signed(size, log.root_at(size))
    log.publish(note)
    return note


def make_log(folder: Path, size: int, *, batch: int = 97) -> Note:
    """A closed log of `size` entries, all published."""
    with Log.create(folder, ORIGIN) as log:
        for begin in range(0, size, batch):
            log.append(entries(begin, min(size, begin + batch)))
        return publish(log)


def files(folder: Path) -> dict[str, bytes]:
    """What a stranger is served."""
    served = [folder / "checkpoint", *sorted((folder / "tile").rglob("*"))]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in served if p.is_file()}

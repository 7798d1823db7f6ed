"""The checkpoint file: what a log's folder says is published."""

from __future__ import annotations

from pathlib import Path

from concord.base.errors import LogCorrupt, SignatureRefused
from concord.crypto.notes import MAX_NOTE_BYTES, Note
from concord.ledger.tiles import CHECKPOINT


def read_checkpoint(folder: Path) -> Note | None:
    """The checkpoint that is published in a log's folder, if there is one; not verified.

    Raises:
        LogCorrupt: the file is no checkpoint.
    """
    path = folder / CHECKPOINT
    try:
        with path.open("rb") as stream:
            return Note.parse(stream.read(MAX_NOTE_BYTES + 1))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LogCorrupt(f"cannot be read: {error.strerror}", where=path) from error
    except SignatureRefused as error:
        raise LogCorrupt(f"is no checkpoint: {error.message}", where=path) from error

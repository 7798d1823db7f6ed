"""A copy of a federation that anybody may have: log and objects, and nothing else.

    OUT/log/checkpoint, OUT/log/tile/…     what `LogReader` reads
    OUT/objects/sha256/ab/cdef…            every object that a reader needs, and dataset records

What is copied is what the log names by digest, never a folder as a whole, so that no key, no text
and no member's own file can come along. Files never change once written, but the checkpoint, which
comes last: the copy can be made again in the same place while it is being served.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from concord.base.digest import digest_file
from concord.base.errors import LogError, VerificationFailed
from concord.base.files import atomic_file, storage_errors, write_atomic
from concord.base.objects import ObjectStore
from concord.crypto.notes import Note
from concord.ledger.needed import Need
from concord.ledger.tiles import CHECKPOINT, WIDTH, WIDTH_BITS, Tile, join_entries, partial_tiles
from concord.ledger.tree import read_entries, read_hashes
from concord.ledger.verify import Verification


@dataclass(frozen=True)
class Published:
    """What was written."""

    entries: int
    objects: int
    bytes: int
    """Of objects, those included that were there already."""


def publish(verification: Verification, out: Path) -> Published:
    """Copy what was verified.

    Args:
        verification: It ended without an error.
        out: A new folder, or an earlier copy of the same log.

    Raises:
        LogError: `out` is the federation itself, or holds something else.
        StorageError: it cannot be written.
    """
    source = verification.folder
    _check_out(source, out)
    store, total = ObjectStore(out / "objects"), 0
    wanted = [*verification.needed, *verification.offered]
    for need in wanted:
        total += _copy_object(verification.objects, store, need)
    copy_log(source / "log", out / "log", verification.note)
    return Published(verification.reader.size, len(wanted), total)


def copy_log(source: Path, out: Path, note: Note) -> None:
    """Copy a log as far as a checkpoint of it goes, the checkpoint last.

    Raises:
        LogCorrupt: a file of it is damaged.
        StorageError: `out` cannot be written.
    """
    for tile in tiles_of(note.checkpoint.size):
        _copy_tile(source, out, tile)
    write_atomic(out / CHECKPOINT, note.encode())


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile and bundle of a log of `size` entries, full ones and the partial ends."""
    for number in range(size // WIDTH):
        yield Tile(None, number)
    if size % WIDTH:
        yield Tile(None, size // WIDTH, size % WIDTH)
    level = 0
    while size >> WIDTH_BITS * (level + 1):
        for number in range(size >> WIDTH_BITS * (level + 1)):
            yield Tile(level, number)
        level += 1
    yield from partial_tiles(size)


def _check_out(source: Path, out: Path) -> None:
    if out.resolve() == source.resolve() or source.resolve() in out.resolve().parents:
        raise LogError("lies in the federation's own folder", where=out, remedy="name another")
    found = [path.name for path in out.iterdir()] if out.exists() else []
    if strangers := sorted(set(found) - {"log", "objects"}):
        raise LogError(
            f"holds something else: {strangers[0]}", where=out, remedy="name a new folder"
        )


def _copy_object(source: ObjectStore, target: ObjectStore, need: Need) -> int:
    path, copy = source.path(need.digest), target.path(need.digest)
    size = path.stat().st_size
    if not copy.exists():
        _copy(path, copy)
        if digest_file(copy) != need.digest:
            copy.unlink()
            raise VerificationFailed("changed while it was copied", where=f"{need.what} {path}")
    return size


def _copy_tile(source: Path, target: Path, tile: Tile) -> None:
    """A tile or bundle as far as the checkpoint goes; the writer's own file may hold more."""
    copy = target / tile.name
    if copy.exists():
        return
    if tile.level is None:
        data = join_entries(read_entries(source, tile))
    else:
        data = b"".join(read_hashes(source, tile))
    with storage_errors(copy):
        copy.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(copy, data)


def _copy(path: Path, copy: Path) -> None:
    with storage_errors(copy):
        copy.parent.mkdir(parents=True, exist_ok=True)
    with storage_errors(copy), path.open("rb") as stream, atomic_file(copy) as out:
        shutil.copyfileobj(stream, out, 1 << 20)

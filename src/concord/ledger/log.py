"""The log: an append-only Merkle tree of entries in a folder of plain files. One writer.

Three steps, in this order, and a crash between any two loses nothing:

1. An append is durable once it is in the journal (`journal`). Only then does it return.
2. A bundle that became full is written to its file, then its tiles, then the journal begins anew.
   What a crash left undone is done again when the log is opened, to the same bytes.
3. `publish` writes the partial tiles that a reader of this size needs, and the checkpoint last.

What lies here needs no trust in this module: `reader` checks it against the checkpoint.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from concord.base.errors import ForkDetected, LogCorrupt, LogError, LogHeld
from concord.base.files import (
    make_folder,
    remove_torn,
    storage_errors,
    sync_folder,
    write_atomic,
)
from concord.base.locks import Held, locked
from concord.crypto.merkle import leaf_hash, tree_root
from concord.crypto.notes import Note
from concord.ledger.journal import Journal
from concord.ledger.published import read_checkpoint
from concord.ledger.tiles import CHECKPOINT, WIDTH, Tile, join_entries, partial_tiles
from concord.ledger.tree import StoredTree
from concord.ledger.view import LogView

JOURNAL = "journal"
LOCK = "lock"


class Log(LogView):
    """A log open for writing, alone. Make one with `create`, `open` or `adopt`; close it after."""

    def __init__(self, folder: Path, origin: str) -> None:
        self.origin = origin
        self._recent: list[bytes] = []  # entries from number `_first` on, which begins a bundle
        with ExitStack() as opened:
            opened.enter_context(_alone(folder))
            remove_torn(folder)
            remove_torn(folder / "tile", deep=True)
            self._journal = Journal(folder / JOURNAL, origin)
            opened.callback(self._journal.close)
            self._first = self._journal.first
            super().__init__(folder, StoredTree.load(folder, self._first))
            self._grow(self._journal.entries)
            self._check_published()
            self._settle()
            self._opened = opened.pop_all()

    @classmethod
    def create(cls, folder: Path, origin: str) -> Log:
        """Begin a log in a folder that holds none.

        Raises:
            LogError: the folder holds a log already.
            StorageError: it cannot be written.
        """
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name in (JOURNAL, CHECKPOINT, "tile"):
            if (folder / name).exists():
                raise LogError("there is a log already", where=folder, remedy="open it instead")
        Journal.create(folder / JOURNAL, origin, 0, [])
        return cls(folder, origin)

    @classmethod
    def open(cls, folder: Path, origin: str) -> Log:
        """Open a log for writing, after whatever happened to its last writer.

        Raises:
            LogError: there is none, it is of another origin, or another process writes to it.
            LogCorrupt: acknowledged entries are damaged, or do not make the published root.
        """
        if not (folder / JOURNAL).exists():
            remedy = "create it, or adopt a published copy"
            raise LogError("there is no log to write to", where=folder, remedy=remedy)
        return cls(folder, origin)

    @classmethod
    def adopt(cls, folder: Path, origin: str) -> Log:
        """Take over a copy of what a log has published, to write on from its checkpoint.

        Raises:
            LogError: nothing is published, or the folder is a writer's own already.
            LogCorrupt: the copy does not make the root of its checkpoint.
        """
        note = read_checkpoint(folder)
        if note is None or (folder / JOURNAL).exists():
            raise LogError("is no published copy of a log", where=folder, remedy="open it instead")
        size = note.checkpoint.size
        first = size // WIDTH * WIDTH
        tree = StoredTree.load(folder, size)
        if tree_root(tree.subtree, size) != note.checkpoint.root:
            raise LogCorrupt("its tiles do not make the root of its checkpoint", where=folder)
        entries = tree.bundle(size // WIDTH) if size > first else []
        Journal.create(folder / JOURNAL, origin, first, entries)
        return cls(folder, origin)

    def append(self, entries: Sequence[bytes]) -> range:
        """Add entries, all of them or none; on return they survive a crash and a power cut.

        Returns:
            Their numbers.

        Raises:
            LogError: one is over 65,535 bytes, or they are too many; the log is unchanged.
            StorageError: the disk refused, and the log was closed. Whether the entries are there
                shows when it is opened again.
        """
        begin = self.size
        if entries:
            batch = self._journal.batch(entries)
            try:
                self._journal.append(batch)
                self._grow(entries)
                self._settle()
            except BaseException:  # memory and disk may differ now
                self.close()
                raise
        return range(begin, self.size)

    def publish(self, note: Note) -> None:
        """Let readers see the log as far as `note` says; the checkpoint file comes last.

        Whether the note's signatures are those of this log, and enough of them, the caller knows.

        Raises:
            LogError: the note is of another log, longer than this one, or shorter than published.
            ForkDetected: its root is not this log's at its size.
        """
        checkpoint = note.checkpoint
        if checkpoint.origin != self.origin:
            raise LogError(f"the checkpoint is of {checkpoint.origin}, not of {self.origin}")
        if self.root_at(checkpoint.size) != checkpoint.root:
            message = f"the checkpoint of size {checkpoint.size} has another root than this log"
            raise ForkDetected(message, where=self.folder)
        before = self.read_checkpoint()
        if before is not None and checkpoint.size < before.checkpoint.size:
            message = f"size {before.checkpoint.size} is published, {checkpoint.size} would go back"
            raise LogError(message, where=self.folder)
        self._write_partials(checkpoint.size)
        write_atomic(self.folder / CHECKPOINT, note.encode())

    def read_checkpoint(self) -> Note | None:
        """The published checkpoint, if there is one.

        Raises:
            LogCorrupt: the file is no checkpoint.
        """
        return read_checkpoint(self.folder)

    def close(self) -> None:
        """Let another process write."""
        self._opened.close()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_published(self) -> None:
        note = self.read_checkpoint()
        if note is None:
            return
        published = note.checkpoint
        if published.origin != self.origin:
            raise LogError(f"is the log {published.origin}, not {self.origin}", where=self.folder)
        if published.size > self.size:
            raise LogCorrupt(
                f"{published.size} entries are published, {self.size} are left",
                where=self.folder,
                remedy="restore the journal from a copy, or move it away and adopt what is left",
            )
        if self.root_at(published.size) != published.root:
            message = "its tiles do not make the published root"
            raise LogCorrupt(message, where=self.folder, remedy="restore it from a copy")

    def _bundle(self, number: int) -> list[bytes]:
        return self._recent if number * WIDTH == self._first else super()._bundle(number)

    def _grow(self, entries: Sequence[bytes]) -> None:
        self._recent += entries
        for entry in entries:
            self._tree.grow(leaf_hash(entry))

    def _settle(self) -> None:
        """Write full bundles and tiles to their places; then let the journal begin after them."""
        full = len(self._recent) // WIDTH
        if not full:
            return
        first = self._first + full * WIDTH
        bundles = {
            Tile(None, self._first // WIDTH + n): self._recent[n * WIDTH : (n + 1) * WIDTH]
            for n in range(full)
        }
        self._write({tile: join_entries(found) for tile, found in bundles.items()})
        self._write({tile: b"".join(found) for tile, found in self._tree.unwritten.items()})
        self._write(self._partials(first))
        rest = self._recent[full * WIDTH :]
        self._journal.begin_anew(first, rest)
        for tile in (*bundles, *self._tree.unwritten):
            shutil.rmtree(self.folder / tile.partials, ignore_errors=True)
        self._tree.unwritten.clear()
        self._first, self._recent = first, rest

    def _write_partials(self, size: int) -> None:
        """What a reader needs of the tiles and of the bundle that are not full at this size."""
        found = self._partials(size)
        bundle = Tile(None, size // WIDTH, size % WIDTH)
        if bundle.width:
            found[bundle] = join_entries(self._bundle(bundle.number)[: bundle.width])
        full = [tile for tile in found if (self.folder / tile.full.name).exists()]
        self._write({tile: data for tile, data in found.items() if tile not in full})

    def _partials(self, size: int) -> dict[Tile, bytes]:
        return {
            tile: b"".join(self._tree.tile(tile.level or 0, tile.number)[: tile.width])
            for tile in partial_tiles(size)
        }

    def _write(self, files: Mapping[Tile, bytes]) -> None:
        """Write files that are not there yet; on return they survive a power cut."""
        folders = set()
        for tile, data in files.items():
            path = self.folder / tile.name
            make_folder(path.parent)
            folders.add(path.parent)
            if not path.exists():
                write_atomic(path, data, sync_name=False)
            elif path.read_bytes() != data:  # else an earlier writer was stopped after this
                raise LogCorrupt("would change, and no tile ever does", where=tile.name)
        for folder in folders:
            sync_folder(folder)


def open_log(folder: Path) -> Log:
    """Open a log for writing, of whatever origin its checkpoint names.

    Raises:
        LogError: nothing was published there; LogHeld: another process writes to it.
        LogCorrupt: as `Log.open`.
    """
    note = read_checkpoint(folder)
    if note is None:
        raise LogError("there is no log", where=folder, remedy="`concord init` founds a federation")
    return Log.open(folder, note.checkpoint.origin)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        with locked(folder / LOCK, wait=False):
            yield
    except Held as error:
        raise LogHeld(
            "another process writes to this log",
            where=folder,
            remedy="wait for it, or stop it; reading needs no lock",
        ) from error

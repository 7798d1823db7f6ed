"""A log as a stranger reads it: nothing is believed but what the checkpoint's root proves.

Opening checks the right edge of the tree against the root, and each file is checked when it is
read, so that opening a long log is quick. `check` reads everything. Who signed the checkpoint is
for the caller to ask of `note`, with the keys that count.
"""

from __future__ import annotations

from pathlib import Path

from concord.base.errors import LogCorrupt, LogError
from concord.crypto.merkle import Frontier, leaf_hash, tree_root
from concord.crypto.notes import Checkpoint, Note
from concord.ledger.published import read_checkpoint
from concord.ledger.tiles import CHECKPOINT, WIDTH, WIDTH_BITS, Tile
from concord.ledger.tree import StoredTree, read_entries, read_hashes
from concord.ledger.view import LogView


class LogReader(LogView):
    """The published part of a log in a folder; needs no lock and writes nothing.

    Attributes:
        note: The checkpoint as it was when the log was opened, with its signature lines.

    Raises:
        LogError: nothing is published there.
        LogCorrupt: the files do not make the checkpoint's tree; names the first that is wrong.
    """

    def __init__(self, folder: Path) -> None:
        note = read_checkpoint(folder)
        if note is None:
            raise LogError("no log is published there", where=folder / CHECKPOINT)
        self.note: Note = note
        checkpoint = note.checkpoint
        super().__init__(folder, StoredTree.load(folder, checkpoint.size))
        if tree_root(self._tree.subtree, checkpoint.size) != checkpoint.root:
            self.check()
            raise LogCorrupt("the tiles do not make the root of the checkpoint", where=folder)

    def check(self) -> None:
        """Make the tree again from the entries, and compare every tile and the root with it.

        Raises:
            LogCorrupt: something differs; names the first entry or tile that does.
        """
        check_files(self.folder, self.note.checkpoint)


def check_files(folder: Path, checkpoint: Checkpoint) -> None:
    """Make a log's tree again from its entries, and compare every tile and the root with it.

    If the entries make the root, a tile that differs is the one that was altered. If not, the
    first place where entries and tiles part is named.

    Raises:
        LogCorrupt: something differs, or is missing.
    """
    found = _Comparison(folder, checkpoint.size)
    for number in range(-(-checkpoint.size // WIDTH)):
        width = min(WIDTH, checkpoint.size - number * WIDTH)
        for entry in read_entries(folder, Tile(None, number, width)):
            found.add(entry)
    if found.frontier.root() == checkpoint.root:
        if found.wrong_tile is not None:
            message = "is not the tile that the entries make"
            raise LogCorrupt(message, where=found.wrong_tile.name)
    elif found.wrong_entry is not None:
        message = "is not the entry that the tree holds"
        raise LogCorrupt(message, where=f"entry {found.wrong_entry}")
    elif found.wrong_tile is not None:
        message = "does not fit the tiles below it, which were altered together with entries"
        raise LogCorrupt(message, where=found.wrong_tile.name)
    else:
        message = f"its root is not that of the {checkpoint.size} entries"
        raise LogCorrupt(message, where=CHECKPOINT)


class _Comparison:
    """The tree made from entries beside the one made of tiles, and where they first part."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        self.frontier = Frontier()
        self.wrong_entry: int | None = None
        self.wrong_tile: Tile | None = None
        self._tiles: dict[int, tuple[Tile, list[bytes]]] = {}

    def add(self, entry: bytes) -> None:
        made = self.frontier.append(leaf_hash(entry))
        for level, found in enumerate(made[::WIDTH_BITS]):
            index = (self.frontier.size >> WIDTH_BITS * level) - 1
            tile, hashes = self._tile(level, index // WIDTH)
            if hashes[index % WIDTH] != found:
                if self.wrong_tile is None:
                    self.wrong_tile = tile
                if self.wrong_entry is None and level == 0:
                    self.wrong_entry = index

    def _tile(self, level: int, number: int) -> tuple[Tile, list[bytes]]:
        known = self._tiles.get(level)
        if known is None or known[0].number != number:
            width = min(WIDTH, (self.size >> WIDTH_BITS * level) - number * WIDTH)
            tile = Tile(level, number, width)
            known = self._tiles[level] = tile, read_hashes(self.folder, tile)
        return known

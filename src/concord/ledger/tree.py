"""The tree as files: tiles are read, checked against the tile above, and kept for a while.

The right edge (the partial tile of each level) is in memory. It alone makes the root, so whoever
compares that root with a signed one has checked the edge; every full tile must then fold to the
hash that stands for it one level up, and every entry to its leaf.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from concord.base.errors import LogCorrupt
from concord.crypto.merkle import HASH_BYTES, leaf_hash
from concord.ledger.tiles import (
    MAX_BUNDLE_BYTES,
    WIDTH,
    WIDTH_BITS,
    Tile,
    partial_tiles,
    split_entries,
    split_hashes,
    tile_root,
)

KEPT_TILES = 512  # 256 hashes of about 65 bytes as Python holds them: under 10 MB


class StoredTree:
    """The tree over the first `size` entries of a log's folder.

    `load` reads the right edge; `grow` extends it in memory.

    Attributes:
        edges: Hashes of each level's partial tile, lowest level first.
        unwritten: Full tiles that `grow` made and that nobody has written to the disk yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.size = 0
        self.edges: list[list[bytes]] = []
        self.unwritten: dict[Tile, list[bytes]] = {}
        self._kept: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()

    @classmethod
    def load(cls, folder: Path, size: int) -> StoredTree:
        """The tree of `size` entries as its files have it, which are not checked yet.

        Raises:
            LogCorrupt: a file of the right edge is missing or of the wrong length.
        """
        tree = cls(folder)
        tree.size = size
        tree.edges = [[] for _ in range(-(-size.bit_length() // WIDTH_BITS))]
        for tile in partial_tiles(size):
            if tile.level is not None:
                tree.edges[tile.level] = read_hashes(folder, tile)
        return tree

    def grow(self, leaf: bytes) -> None:
        """Add a leaf's hash. Tiles that it makes full are kept in `unwritten`."""
        self.size += 1
        level, found = 0, leaf
        while True:
            if level == len(self.edges):
                self.edges.append([])
            edge = self.edges[level]
            edge.append(found)
            if len(edge) < WIDTH:
                return
            self.unwritten[Tile(level, (self.size >> WIDTH_BITS * (level + 1)) - 1)] = edge
            self.edges[level] = []
            level, found = level + 1, tile_root(edge)

    def subtree(self, level: int, index: int) -> bytes:
        """Root of the 2^level leaves from index * 2^level on: the function that proofs ask."""
        tile_level, height = divmod(level, WIDTH_BITS)
        first = index << height
        hashes = self.tile(tile_level, first // WIDTH)
        return tile_root(hashes[first % WIDTH : first % WIDTH + (1 << height)])

    def tile(self, level: int, number: int) -> list[bytes]:
        """Hashes of a tile, partial or full.

        Raises:
            LogCorrupt: its file is missing, or does not fold to what the tile above says.
        """
        if number == self.size >> WIDTH_BITS * (level + 1):
            return self.edges[level]
        if (fresh := self.unwritten.get(Tile(level, number))) is not None:
            return fresh
        if (known := self._kept.get((level, number))) is not None:
            self._kept.move_to_end((level, number))
            return known
        tile = Tile(level, number)
        hashes = read_hashes(self.folder, tile)
        if tile_root(hashes) != self.tile(level + 1, number // WIDTH)[number % WIDTH]:
            raise LogCorrupt("does not fold to its hash in the tile above", where=tile.name)
        self._kept[level, number] = hashes
        if len(self._kept) > KEPT_TILES:
            self._kept.popitem(last=False)
        return hashes

    def bundle(self, number: int) -> list[bytes]:
        """Entries of a bundle that is on disk, checked against their leaves.

        Raises:
            LogCorrupt: the file is missing, or an entry is not the one in the tree.
        """
        width = min(WIDTH, self.size - number * WIDTH)
        entries = read_entries(self.folder, Tile(None, number, width))
        for place, (entry, leaf) in enumerate(zip(entries, self.tile(0, number), strict=True)):
            if leaf_hash(entry) != leaf:
                where = f"entry {number * WIDTH + place}"
                raise LogCorrupt("is not the entry that the tree holds", where=where)
        return entries


def read_hashes(folder: Path, tile: Tile) -> list[bytes]:
    """The hashes of a tile's file, or of the beginning of the full one.

    Raises:
        LogCorrupt: both are missing, or of the wrong length.
    """
    return _read(folder, tile, WIDTH * HASH_BYTES, split_hashes)


def read_entries(folder: Path, tile: Tile) -> list[bytes]:
    """The entries of a bundle's file, or of the beginning of the full one.

    Raises:
        LogCorrupt: both are missing, or do not hold that many entries.
    """
    return _read(folder, tile, MAX_BUNDLE_BYTES, split_entries)


def _read(
    folder: Path, tile: Tile, max_bytes: int, split: Callable[[bytes, str], list[bytes]]
) -> list[bytes]:
    # The partial first: it goes only after the full one has come, so one of both is found.
    for form in dict.fromkeys((tile, tile.full)):
        try:
            with (folder / form.name).open("rb") as stream:
                data = stream.read(max_bytes + 1)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise LogCorrupt(f"cannot be read: {error.strerror}", where=form.name) from error
        if len(data) > max_bytes:
            raise LogCorrupt(f"is over the limit of {max_bytes:,} bytes", where=form.name)
        parts = split(data, form.name)
        if len(parts) != form.width:
            message = f"holds {len(parts)} of what should be {form.width}"
            raise LogCorrupt(message, where=form.name)
        return parts[: tile.width]
    raise LogCorrupt("is missing", where=tile.name, remedy="restore it from a copy")

"""What can be asked of a log, by its writer and by a reader alike: entries, roots and proofs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from concord.base.errors import LogError
from concord.crypto.merkle import consistency_path, inclusion_path, tree_root
from concord.ledger.tiles import WIDTH
from concord.ledger.tree import StoredTree


class LogView:
    """The first `size` entries of a log, each checked against the tree when it is read."""

    def __init__(self, folder: Path, tree: StoredTree) -> None:
        self.folder = folder
        self._tree = tree

    @property
    def size(self) -> int:
        """Number of entries."""
        return self._tree.size

    @property
    def root(self) -> bytes:
        return self.root_at(self.size)

    def root_at(self, size: int) -> bytes:
        """Root of the first `size` entries.

        Raises:
            LogError: the log has fewer.
        """
        self._check_size(size)
        return tree_root(self._tree.subtree, size)

    def entry(self, index: int) -> bytes:
        """Entry number `index`.

        Raises:
            LogError: there is none.
            LogCorrupt: its file is damaged.
        """
        return next(self.entries(index, index + 1))

    def entries(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Entries `start` to `end`, one bundle in memory at a time.

        Raises:
            LogError: the log is shorter than `end`.
            LogCorrupt: a file is damaged.
        """
        end = self.size if end is None else end
        self._check_size(end)
        if not 0 <= start <= end:
            raise LogError(f"there are no entries {start} to {end}", where=self.folder)
        return self._entries(start, end)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Hashes that show that entry `index` is in the tree of `size` entries.

        Raises:
            LogError: there is no such entry or size.
        """
        self._check_size(size)
        return inclusion_path(self._tree.subtree, index, size)

    def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """Hashes that show that the tree of `new_size` begins with that of `old_size`.

        Raises:
            LogError: there is no such size.
        """
        self._check_size(new_size)
        return consistency_path(self._tree.subtree, old_size, new_size)

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise LogError(f"has {self.size} entries, not {size}", where=self.folder)

    def _entries(self, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            base = start // WIDTH * WIDTH
            yield from self._bundle(base // WIDTH)[start - base : end - base]
            start = base + WIDTH

    def _bundle(self, number: int) -> list[bytes]:
        return self._tree.bundle(number)

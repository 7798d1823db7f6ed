"""The Merkle tree of the log: hashes, proofs, and what a writer must remember (RFC 6962).

    leaf(d)      = SHA-256(00 || d)              node(l, r) = SHA-256(01 || l || r)
    root([])     = SHA-256("")                   root([d])  = leaf(d)
    root(D[0:n]) = node(root(D[0:k]), root(D[k:n])),  k the largest power of two below n

Proofs are made from `Subtree`, a function that gives the root of a perfect subtree, so that a
store may answer from what it kept. Checks need nothing but the proof, and raise.

Sources: RFC 6962 section 2.1; checks after RFC 9162 sections 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from concord.base.errors import LogCorrupt, LogError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
MAX_SIZE = 2**63 - 1

Subtree = Callable[[int, int], bytes]
"""(level, index) -> root of the 2^level leaves that begin at index * 2^level."""


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree as its writer remembers it: one hash per set bit of its size.

    Args:
        size: Leaves so far.
        hashes: Roots of the perfect subtrees that make up the tree, largest first.
    """

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if len(hashes) != size.bit_count():
            raise LogCorrupt(f"{len(hashes)} hashes cannot make a tree of {size} leaves")
        self.size = size
        self._hashes = list(hashes)

    @classmethod
    def at(cls, subtree: Subtree, size: int) -> Frontier:
        """The frontier of the first `size` leaves of a stored tree."""
        return cls(size, _perfect_hashes(subtree, 0, size))

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Roots of the perfect subtrees that make up the tree, largest first."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> list[bytes]:
        """Add a leaf's hash.

        Returns:
            Roots of the perfect subtrees that it completes: of 1, 2, 4, ... leaves.
        """
        made = [leaf]
        size = self.size
        while size & 1:
            made.append(node_hash(self._hashes.pop(), made[-1]))
            size >>= 1
        self._hashes.append(made[-1])
        self.size += 1
        return made

    def root(self) -> bytes:
        return _joined(self._hashes)


def root_of_leaves(leaves: Iterable[bytes]) -> bytes:
    """Root of a tree, from the hashes of its leaves in order."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def tree_root(subtree: Subtree, size: int) -> bytes:
    """Root of the first `size` leaves of a stored tree."""
    return _range_root(subtree, 0, size)


def inclusion_path(subtree: Subtree, index: int, size: int) -> list[bytes]:
    """Hashes that lead from leaf `index` to the root of the first `size` leaves, lowest first.

    Raises:
        LogError: there is no such leaf in a tree of that size.
    """
    if not 0 <= index < size:
        raise LogError(f"there is no entry {index} in a tree of {size}")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_range_root(subtree, middle, end))
            end = middle
        else:
            path.append(_range_root(subtree, begin, middle))
            begin = middle
    return path[::-1]


def consistency_path(subtree: Subtree, old_size: int, new_size: int) -> list[bytes]:
    """Hashes that show that the tree of `new_size` leaves begins with that of `old_size`.

    Empty if there is nothing to show: `old_size` is 0 or equals `new_size`.

    Raises:
        LogError: `old_size` is larger than `new_size`.
    """
    if not 0 <= old_size <= new_size:
        raise LogError(f"a tree of {old_size} cannot grow into one of {new_size}")
    path: list[bytes] = []
    begin, end = 0, new_size
    while old_size not in (0, end):
        middle = begin + _split(end - begin)
        if old_size <= middle:
            path.append(_range_root(subtree, middle, end))
            end = middle
        else:
            path.append(_range_root(subtree, begin, middle))
            begin = middle
    if begin:  # the old tree ends in a subtree that its reader could not name otherwise
        path.append(_range_root(subtree, begin, end))
    return path[::-1]


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Check that `leaf` (a hash) is number `index` of the tree of `size` leaves under `root`.

    Raises:
        LogCorrupt: the path does not show it.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise LogCorrupt(f"there is no entry {index} in a tree of {size}")
    _check_hashes([leaf, *path])
    found, node, last = leaf, index, size - 1
    for sibling in path:
        if last == 0:
            raise LogCorrupt("the inclusion path is too long", where=f"entry {index}")
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last or found != root:
        message = f"the inclusion path does not lead to the root of size {size}"
        raise LogCorrupt(message, where=f"entry {index}")


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that the tree of `new_size` leaves only adds to that of `old_size`.

    Raises:
        LogCorrupt: the path does not show it.
    """
    where = f"consistency of {old_size} with {new_size}"
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise LogCorrupt("a tree never shrinks", where=where)
    _check_hashes(path)
    if old_size in (0, new_size):
        same = EMPTY_ROOT if old_size == 0 else new_root
        if path or old_root != same or (new_size == 0 and new_root != EMPTY_ROOT):
            raise LogCorrupt("the roots differ, or the path should be empty", where=where)
        return
    if _roots_of(old_size, old_root, new_size, path) != (old_root, new_root):
        raise LogCorrupt("the path does not lead to both roots", where=where)


def _roots_of(
    old_size: int, old_root: bytes, new_size: int, path: Sequence[bytes]
) -> tuple[bytes, bytes] | None:
    """Old and new root as the path makes them; None if its length is wrong."""
    hashes = list(path)
    if old_size & (old_size - 1) == 0:  # the old tree is one perfect subtree: its own root starts
        hashes.insert(0, old_root)
    if not hashes:
        return None
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return None
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return None if last else (old, new)


def _check_hashes(hashes: Iterable[bytes]) -> None:
    if any(len(found) != HASH_BYTES for found in hashes):
        raise LogCorrupt(f"a hash of a proof is not {HASH_BYTES} bytes long")


def _split(size: int) -> int:
    """Largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _range_root(subtree: Subtree, begin: int, end: int) -> bytes:
    """Root of leaves `begin` to `end`; `begin` is a multiple of the first power of two >= width."""
    return _joined(_perfect_hashes(subtree, begin, end))


def _perfect_hashes(subtree: Subtree, begin: int, end: int) -> list[bytes]:
    hashes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        hashes.append(subtree(level, begin >> level))
        begin += 1 << level
    return hashes


def _joined(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in hashes[-2::-1]:
        root = node_hash(left, root)
    return root

"""Names and bytes of the log's files (C2SP tlog-tiles), and nothing else: no disk here.

    checkpoint                       a signed note: size and root that are published
    tile/<level>/<number>[.p/<w>]    256 hashes of 32 bytes: roots of 256^level leaves each
    tile/entries/<number>[.p/<w>]    256 entries, each after its length as u16, big-endian

A number is written in groups of three digits, all but the last after an `x`: 1234067 is
`x001/x234/067`. The last tile of a level is partial if its width w is 1 to 255. A full file never
changes. A partial one may go once the full one is there, so a reader that misses the partial
reads the beginning of the full one.

Source: https://c2sp.org/tlog-tiles
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from concord.base.errors import LogCorrupt, LogError
from concord.crypto.merkle import HASH_BYTES, node_hash

WIDTH = 256
WIDTH_BITS = 8
MAX_ENTRY_BYTES = 65_535
MAX_BUNDLE_BYTES = WIDTH * (MAX_ENTRY_BYTES + 2)
CHECKPOINT = "checkpoint"
_LENGTH = struct.Struct(">H")


@dataclass(frozen=True)
class Tile:
    """One tile of hashes, or one bundle of entries (`level` None)."""

    level: int | None
    number: int
    width: int = WIDTH

    @property
    def name(self) -> str:
        """Path within the log's folder."""
        kind = "entries" if self.level is None else str(self.level)
        partial = f".p/{self.width}" if self.width < WIDTH else ""
        return f"tile/{kind}/{_grouped(self.number)}{partial}"

    @property
    def full(self) -> Tile:
        """The full file that this one becomes, or is the beginning of."""
        return Tile(self.level, self.number)

    @property
    def partials(self) -> PurePosixPath:
        """The folder of its partial forms."""
        return PurePosixPath(f"{self.full.name}.p")


def _grouped(number: int) -> str:
    digits = str(number)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[place : place + 3] for place in range(0, len(digits), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def partial_tiles(size: int) -> Iterator[Tile]:
    """The partial tile of each level of a log of `size` entries, lowest first; bundles left out."""
    level = 0
    while size >> WIDTH_BITS * level:
        count = size >> WIDTH_BITS * level
        if count % WIDTH:
            yield Tile(level, count // WIDTH, count % WIDTH)
        level += 1


def tile_root(hashes: Sequence[bytes]) -> bytes:
    """Root over a power of two of hashes: of a full tile, or of an aligned part of one."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[place], hashes[place + 1]) for place in range(0, len(hashes), 2)]
    return hashes[0]


def split_hashes(data: bytes, where: str) -> list[bytes]:
    """The hashes of a tile.

    Raises:
        LogCorrupt: its length is no multiple of 32.
    """
    if len(data) % HASH_BYTES:
        raise LogCorrupt(f"{len(data):,} bytes are no whole number of hashes", where=where)
    return [data[place : place + HASH_BYTES] for place in range(0, len(data), HASH_BYTES)]


def check_entry(entry: bytes) -> None:
    """Refuse an entry that a bundle could not hold.

    Raises:
        LogError: it is over 65,535 bytes.
    """
    if len(entry) > MAX_ENTRY_BYTES:
        raise LogError(
            f"an entry of {len(entry):,} bytes is over the limit of {MAX_ENTRY_BYTES:,}",
            remedy="store the content as an object, and log its digest",
        )


def join_entries(entries: Sequence[bytes]) -> bytes:
    """Entries as a bundle holds them; each was checked by `check_entry`."""
    return b"".join(part for entry in entries for part in (_LENGTH.pack(len(entry)), entry))


def split_entries(data: bytes, where: str) -> list[bytes]:
    """What `join_entries` joined.

    Raises:
        LogCorrupt: the last entry is cut short.
    """
    entries = []
    place = 0
    while place < len(data):
        if place + _LENGTH.size > len(data):
            raise LogCorrupt("ends within the length of an entry", where=where)
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        if place + length > len(data):
            raise LogCorrupt("ends within an entry", where=where)
        entries.append(data[place : place + length])
        place += length
    return entries

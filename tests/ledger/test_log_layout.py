"""The files are those of C2SP tlog-tiles: read here by nothing but its text."""

import base64
import hashlib
from collections import Counter
from pathlib import Path

import pytest
from loglab import entries, files, make_log

from concord.base.errors import LogCorrupt, LogError
from concord.crypto.merkle import leaf_hash, root_of_leaves
from concord.ledger.tiles import (
    Tile,
    check_entry,
    join_entries,
    partial_tiles,
    split_entries,
    split_hashes,
)


@pytest.mark.parametrize(
    ("tile", "name"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(2, 1000, 8), "tile/2/x001/000.p/8"),
        (Tile(None, 999, 255), "tile/entries/999.p/255"),
        (Tile(None, 273, 112), "tile/entries/273.p/112"),
    ],
)
def test_names(tile, name):
    assert tile.name == name


def test_the_example_of_the_specification():
    """A tree of 70,000: 273 full and one of 112; one full and one of 17; one of 1."""
    assert list(partial_tiles(70_000)) == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert list(partial_tiles(256)) == [Tile(1, 0, 1)]
    assert list(partial_tiles(0)) == []


def test_a_log_of_70_000_entries_lies_in_the_files_of_the_specification(tmp_path):
    make_log(tmp_path, 70_000, batch=7_000)
    named = {name: data for name, data in files(tmp_path).items() if ".p/" not in name}
    counted = Counter(str(Path(name).parent) for name in named)
    assert counted == {".": 1, "tile/0": 273, "tile/1": 1, "tile/entries": 273}
    assert {len(data) for name, data in named.items() if name.startswith("tile/0")} == {8192}
    partial = files(tmp_path)
    assert len(partial["tile/0/273.p/112"]) == 112 * 32
    assert len(partial["tile/1/001.p/17"]) == 17 * 32
    assert len(partial["tile/2/000.p/1"]) == 32
    assert "tile/entries/273.p/112" in partial
    assert not any(name.startswith(("tile/0/000.p", "tile/1/000.p")) for name in partial)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_a_reader_written_from_the_text_alone_finds_the_same_log(tmp_path, size):
    make_log(tmp_path, size)
    served = files(tmp_path)
    origin, length, root = served["checkpoint"].decode().split("\n")[:3]
    assert (origin, int(length)) == ("log.example/atlas", size)
    found = []
    for number in range(-(-size // 256)):
        width = min(256, size - 256 * number)
        suffix = "" if width == 256 else f".p/{width}"
        data = served[f"tile/entries/{number:03}{suffix}"]
        tile = served[f"tile/0/{number:03}{suffix}"]
        bundle = []
        while data:
            count = int.from_bytes(data[:2], "big")
            bundle.append(data[2 : 2 + count])
            data = data[2 + count :]
        hashes = [hashlib.sha256(b"\0" + entry).digest() for entry in bundle]
        assert tile == b"".join(hashes)
        found += bundle
    assert found == entries(0, size)
    assert base64.b64decode(root) == root_of_leaves(map(leaf_hash, found))
    if size >= 256:
        full = size // 256
        upper = served[f"tile/1/000.p/{full}"]
        assert upper == b"".join(
            root_of_leaves(map(leaf_hash, entries(256 * n, 256 * n + 256))) for n in range(full)
        )


def test_a_bundle_is_read_back():
    bundle = [b"", b"a", bytes(65_535)]
    assert split_entries(join_entries(bundle), "bundle") == bundle
    assert join_entries([b"ab"]) == b"\0\2ab"


@pytest.mark.parametrize("data", [b"\0", b"\0\2a", b"\0\1ab"])
def test_a_bundle_that_is_cut_short_is_refused(data):
    with pytest.raises(LogCorrupt, match="ends within"):
        split_entries(data, "bundle")


def test_half_a_hash_and_too_large_an_entry_are_refused():
    with pytest.raises(LogCorrupt):
        split_hashes(bytes(33), "tile")
    with pytest.raises(LogError):
        check_entry(bytes(65_536))

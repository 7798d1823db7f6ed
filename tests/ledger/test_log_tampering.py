"""A log whose files were altered is refused, and the first thing that is wrong is named."""

import re
import shutil

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from loglab import LOG_KEY, ORIGIN, entries, files, make_log, publish, signed

from concord.base.errors import LogCorrupt, LogError, SignatureRefused
from concord.crypto.merkle import leaf_hash, root_of_leaves
from concord.ledger.log import Log
from concord.ledger.reader import LogReader
from concord.ledger.tiles import join_entries
from fuzzcases import FUZZ_CASES

SIZE = 600


@pytest.fixture
def folder(tmp_path):
    make_log(tmp_path, SIZE)
    return tmp_path


def refused(folder, where, *, reason=None):
    with pytest.raises(LogCorrupt, match=reason) as found:
        LogReader(folder).check()
    assert found.value.where.endswith(where), found.value
    return found


@pytest.mark.parametrize("name", ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"])
@pytest.mark.parametrize("place", [0, 33, -1])
def test_an_altered_tile_is_named(folder, name, place):
    data = bytearray((folder / name).read_bytes())
    data[place] ^= 0x80
    (folder / name).write_bytes(data)
    refused(folder, name, reason="is not the tile that the entries make")


@pytest.mark.parametrize("number", [0, 255, 256, 300, 599])
def test_an_altered_entry_is_named(folder, number):
    altered = entries(0, SIZE)
    altered[number] = b"something else"
    begin = number // 256 * 256
    width = min(256, SIZE - begin)
    name = f"tile/entries/{number // 256:03}" + (f".p/{width}" if width < 256 else "")
    (folder / name).write_bytes(join_entries(altered[begin : begin + width]))
    refused(folder, f"entry {number}", reason="is not the entry that the tree holds")
    reader = LogReader(folder)
    assert list(reader.entries(0, begin)) == entries(0, begin)
    with pytest.raises(LogCorrupt, match=f"entry {number}"):
        reader.entry(number)
    with pytest.raises(LogCorrupt, match=f"entry {number}"):
        list(reader.entries())


def test_two_entries_exchanged_are_found(folder):
    altered = entries(0, 256)
    altered[10], altered[11] = altered[11], altered[10]
    (folder / "tile/entries/000").write_bytes(join_entries(altered))
    refused(folder, "entry 10")


def test_an_entry_left_out_is_found(folder):
    (folder / "tile/entries/000").write_bytes(join_entries(entries(1, 256)))
    refused(folder, "tile/entries/000", reason="holds 255 of what should be 256")


def test_an_entry_altered_with_its_tile_does_not_fit_the_tile_above(folder):
    altered = entries(0, 256)
    altered[3] = b"another vote"
    (folder / "tile/entries/000").write_bytes(join_entries(altered))
    (folder / "tile/0/000").write_bytes(b"".join(map(leaf_hash, altered)))
    refused(folder, "tile/1/000.p/2", reason="altered together with entries")
    with pytest.raises(LogCorrupt, match="tile/0/000: does not fold"):
        LogReader(folder).entry(3)


def test_another_history_under_the_same_checkpoint_does_not_make_its_root(folder, tmp_path):
    other = tmp_path / "other"
    with Log.create(other, ORIGIN) as log:
        log.append([b"another", *entries(1, SIZE)])
        publish(log)
    shutil.copy(folder / "checkpoint", other / "checkpoint")
    refused(other, "checkpoint", reason="its root is not that of the 600 entries")


@pytest.mark.parametrize(
    "name",
    [
        "tile/0/000",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/001",
        "tile/entries/002.p/88",
    ],
)
def test_a_missing_a_cut_a_swollen_file_and_a_folder_in_its_place_are_named(folder, name):
    path = folder / name
    data = path.read_bytes()
    path.unlink()
    refused(folder, name, reason="is missing")
    path.mkdir()
    refused(folder, name, reason="cannot be read")
    path.rmdir()
    for altered in (data[:-1], data[:-40], data + data, data + bytes(20_000_000), b""):
        path.write_bytes(altered)
        refused(folder, name)


def test_a_partial_tile_of_another_width_does_not_stand_in(folder):
    (folder / "tile/0/002.p/88").write_bytes((folder / "tile/0/001").read_bytes())
    refused(folder, "tile/0/002.p/88", reason="holds 256 of what should be 88")


@pytest.mark.parametrize("size", [1, 256, 599])
def test_a_checkpoint_with_another_size_or_root_does_not_pass(folder, size):
    (folder / "checkpoint").write_bytes(
        signed(size, root_of_leaves(map(leaf_hash, entries(0, SIZE)))).encode()
    )
    with pytest.raises(LogCorrupt):
        LogReader(folder).check()


def test_a_checkpoint_that_is_none_is_named(folder):
    for data in (b"", b"rubbish", bytes(2 << 20)):
        (folder / "checkpoint").write_bytes(data)
        refused(folder, "checkpoint", reason=re.escape("is no checkpoint"))
    (folder / "checkpoint").unlink()
    with pytest.raises(LogError, match="no log is published"):
        LogReader(folder)


def put(path, data):
    path.unlink()  # some file systems wait for the disk where a file is cut and written again
    path.write_bytes(data)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    make_log(folder, 5)
    return folder, files(folder)


@settings(
    max_examples=FUZZ_CASES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(choice=st.integers(0, 2**32 - 1))
def test_altered_logs_are_refused(small, choice):
    """One byte of one file changed (so also each single bit), inserted, left out, or cut short."""
    folder, served = small
    name = sorted(served)[choice % 3]
    data = served[name]
    kind, byte = choice // 3 % 4, choice // 12 % 255 + 1
    place = choice // 4096 % len(data)
    tail = {0: data[place + 1 :], 1: data[place:], 2: data[place + 1 :], 3: b""}[kind]
    middle = {0: bytes([data[place] ^ byte]), 1: bytes([byte]), 2: b"", 3: b""}[kind]
    altered = data[:place] + middle + tail
    put(folder / name, altered)
    try:
        reader = LogReader(folder)
        reader.check()
        assert altered == data or not reader.note.log_signature_ok(ORIGIN, LOG_KEY.public)
    except (LogCorrupt, SignatureRefused):
        assert altered != data
    finally:
        put(folder / name, data)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_flipped_bit_in_a_log_of_several_tiles_is_refused(large, data):
    folder, served = large
    name = data.draw(st.sampled_from(sorted(set(served) - {"checkpoint"})))
    altered = bytearray(served[name])
    place = data.draw(st.integers(0, len(altered) - 1))
    altered[place] ^= 1 << data.draw(st.integers(0, 7))
    put(folder / name, bytes(altered))
    try:
        with pytest.raises(LogCorrupt):
            LogReader(folder).check()
    finally:
        put(folder / name, served[name])


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    make_log(folder, SIZE, batch=SIZE)
    return folder, files(folder)

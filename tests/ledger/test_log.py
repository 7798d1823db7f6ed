"""The log as its writer and its readers use it."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loglab import LOG_KEY, ORIGIN, entries, entry, files, make_log, publish, signed

from concord.base.errors import ForkDetected, LogCorrupt, LogError
from concord.crypto.merkle import (
    EMPTY_ROOT,
    leaf_hash,
    root_of_leaves,
    verify_consistency,
    verify_inclusion,
)
from concord.crypto.notes import cosign
from concord.ledger.log import Log
from concord.ledger.reader import LogReader


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "log"


def test_entries_come_back_in_order_and_make_the_root(folder):
    with Log.create(folder, ORIGIN) as log:
        assert (log.size, log.root) == (0, EMPTY_ROOT)
        assert log.append(entries(0, 3)) == range(3)
        assert log.append([]) == range(3, 3)
        assert log.append(entries(3, 700)) == range(3, 700)
        assert log.root == root_of_leaves(map(leaf_hash, entries(0, 700)))
        assert list(log.entries()) == entries(0, 700)
        assert list(log.entries(250, 520)) == entries(250, 520)
        assert [log.entry(n) for n in (0, 255, 256, 699)] == [entry(n) for n in (0, 255, 256, 699)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=8), st.data())
def test_however_it_is_cut_into_batches_it_is_the_same_log(tmp_path_factory, batches, data):
    folder = tmp_path_factory.mktemp("log")
    log = Log.create(folder, ORIGIN)
    for count in batches:
        log.append(entries(log.size, log.size + count))
        if data.draw(st.booleans()):
            publish(log)
        if data.draw(st.booleans()):
            log.close()
            log = Log.open(folder, ORIGIN)
    size = sum(batches)
    assert log.root == root_of_leaves(map(leaf_hash, entries(0, size)))
    assert list(log.entries()) == entries(0, size)
    publish(log)
    log.close()
    LogReader(folder).check()


def test_proofs_of_a_log_with_two_levels_hold(folder):
    size = 66_000
    with Log.create(folder, ORIGIN) as log:
        log.append(entries(0, size))
        roots = {n: log.root_at(n) for n in (1, 255, 256, 257, 40_000, 65_536, 65_537, size)}
        for end, root in roots.items():
            for index in {0, end // 2, end - 1}:
                proof = log.inclusion(index, end)
                verify_inclusion(leaf_hash(entry(index)), index, end, proof, root)
            for begin in (n for n in roots if n <= end):
                proof = log.consistency(begin, end)
                verify_consistency(begin, roots[begin], end, root, proof)


def test_a_log_of_a_hundred_thousand_entries_opens_and_proves_at_once(folder):
    size = 100_000
    with Log.create(folder, ORIGIN) as log:
        for begin in range(0, size, 10_000):
            log.append(entries(begin, begin + 10_000))
        publish(log)
    begin_s = time.process_time()
    with Log.open(folder, ORIGIN) as log:
        assert log.size == size
    reader = LogReader(folder)
    proof = reader.inclusion(77_777, size)
    verify_inclusion(leaf_hash(reader.entry(77_777)), 77_777, size, proof, reader.root)
    assert time.process_time() - begin_s < 0.5


def test_what_is_not_there_is_refused(folder):
    with Log.create(folder, ORIGIN) as log:
        log.append(entries(0, 5))
        for ask in [
            lambda: log.entry(5),
            lambda: log.entry(-1),
            lambda: log.entries(0, 6),
            lambda: log.entries(3, 2),
            lambda: log.inclusion(5, 5),
            lambda: log.inclusion(0, 6),
            lambda: log.consistency(3, 6),
            lambda: log.consistency(4, 3),
            lambda: log.root_at(6),
        ]:
            with pytest.raises(LogError):
                ask()


def test_an_entry_too_large_for_a_bundle_leaves_the_log_as_it_was(folder):
    with Log.create(folder, ORIGIN) as log:
        log.append([b"a"])
        with pytest.raises(LogError, match="65,536 bytes is over the limit") as refused:
            log.append([b"b", bytes(65_536)])
        assert "digest" in str(refused.value)
        with pytest.raises(LogError, match="batch"):
            log.append([bytes(65_535)] * 1_025)
        assert log.append([bytes(65_535)]) == range(1, 2)
    with Log.open(folder, ORIGIN) as log:
        assert list(log.entries()) == [b"a", bytes(65_535)]


def test_a_second_writer_is_refused_and_a_reader_is_not(folder):
    make_log(folder, 10)
    with Log.open(folder, ORIGIN):
        with pytest.raises(LogError, match="another process writes") as refused:
            Log.open(folder, ORIGIN)
        assert refused.value.remedy
        assert LogReader(folder).size == 10
    with Log.open(folder, ORIGIN) as log:
        assert log.size == 10


def test_a_closed_log_takes_no_entry(folder):
    log = Log.create(folder, ORIGIN)
    log.close()
    with pytest.raises(LogError, match="closed"):
        log.append([b"late"])


def test_a_log_is_created_once_and_opened_under_its_name_only(folder):
    with pytest.raises(LogError, match="no log to write to"):
        Log.open(folder, ORIGIN)
    make_log(folder, 3)
    with pytest.raises(LogError, match="already"):
        Log.create(folder, ORIGIN)
    with pytest.raises(LogError, match="another log"):
        Log.open(folder, "log.example/other")


def test_readers_see_what_is_published_and_no_more(folder):
    with Log.create(folder, ORIGIN) as log:
        log.append(entries(0, 300))
        with pytest.raises(LogError, match="no log is published"):
            LogReader(folder)
        publish(log)
        log.append(entries(300, 600))
        reader = LogReader(folder)
        assert reader.size == 300
        assert list(reader.entries()) == entries(0, 300)
        assert reader.note.log_signature_ok(ORIGIN, LOG_KEY.public)
        publish(log)
        assert list(LogReader(folder).entries()) == entries(0, 600)
        assert list(reader.entries()) == entries(0, 300)


def test_an_earlier_size_may_be_published_but_none_before_the_last(folder):
    with Log.create(folder, ORIGIN) as log:
        log.append(entries(0, 1_000))
        for size in (5, 256, 300, 700, 768):
            publish(log, size)
            reader = LogReader(folder)
            reader.check()
            assert list(reader.entries()) == entries(0, size)
        with pytest.raises(LogError, match="768 is published, 767 would go back"):
            publish(log, 767)
        assert LogReader(folder).size == 768


def test_cosignatures_are_added_to_the_published_checkpoint(folder):
    with Log.create(folder, ORIGIN) as log:
        log.append(entries(0, 5))
        note = publish(log)
        line = cosign(note.checkpoint, "witness.example/a", LOG_KEY, 1_790_000_000)
        log.publish(note.with_lines(line))
        assert log.read_checkpoint() == note.with_lines(line)


def test_only_checkpoints_of_this_history_are_published(folder):
    with Log.create(folder, ORIGIN) as log:
        assert log.read_checkpoint() is None
        log.append(entries(0, 5))
        with pytest.raises(ForkDetected, match="another root"):
            log.publish(signed(5, root_of_leaves(map(leaf_hash, entries(1, 6)))))
        with pytest.raises(LogError, match="not of"):
            log.publish(signed(5, log.root, origin="log.example/other"))
        with pytest.raises(LogError, match="5 entries, not 6"):
            log.publish(signed(6, log.root))
        assert log.read_checkpoint() is None


def test_a_published_copy_can_be_taken_over_and_written_on(folder, tmp_path):
    make_log(folder, 600)
    copy = tmp_path / "copy"
    for name, data in files(folder).items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
    with pytest.raises(LogError, match="adopt"):
        Log.open(copy, ORIGIN)
    for place in (folder, copy):
        with (Log.open if place == folder else Log.adopt)(place, ORIGIN) as log:
            log.append(entries(600, 900))
            publish(log)
    assert files(copy) == files(folder)
    with pytest.raises(LogError, match="open it instead"):
        Log.adopt(copy, ORIGIN)


def test_a_writer_whose_journal_lost_published_entries_stops(folder):
    make_log(folder, 300)
    before = (folder / "journal").read_bytes()
    with Log.open(folder, ORIGIN) as log:
        log.append(entries(300, 310))
        publish(log)
    (folder / "journal").write_bytes(before)
    with pytest.raises(LogCorrupt, match="310 entries are published, 300 are left"):
        Log.open(folder, ORIGIN)
    (folder / "journal").unlink()
    with Log.adopt(folder, ORIGIN) as log:
        assert list(log.entries()) == entries(0, 310)

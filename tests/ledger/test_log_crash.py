"""A writer that is stopped at any instant leaves a log that opens, with all that was told."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loglab import ORIGIN, entries, entry, files, make_log, publish

from concord.base.errors import LogCorrupt, LogError
from concord.ledger.journal import Journal
from concord.ledger.log import Log
from concord.ledger.reader import LogReader

KILLS = 200
HEADER_BYTES = 56


class Writers:
    """The server of `append_until_killed.py`, and what its writers acknowledged."""

    def __init__(self, folder: Path) -> None:
        script = Path(__file__).with_name("append_until_killed.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.acknowledged: dict[int, int] = {}

    def kill_after(self, session: int, delay_s: float) -> None:
        self.process.stdin.write(f"{session}\n")
        self.process.stdin.flush()
        writer = int(self.process.stdout.readline().split()[1])
        time.sleep(delay_s)
        os.kill(writer, signal.SIGKILL)
        for line in self.process.stdout:
            if line == "gone\n":
                return
            _, first, count = line.split()
            for number in range(int(first), int(first) + int(count)):
                assert number not in self.acknowledged
                self.acknowledged[number] = session

    def __enter__(self) -> "Writers":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


@pytest.mark.processes
def test_two_hundred_writers_killed_at_random_instants_lose_and_double_nothing(tmp_path):
    Log.create(tmp_path, ORIGIN).close()
    rng = random.Random(20_261_125)
    checked = 0
    with Writers(tmp_path) as writers:
        for session in range(KILLS):
            # Most die while they write, some while they open what the one before left.
            writers.kill_after(session, rng.choice([0.003, 0.02, 0.1]) * rng.random())
            with Log.open(tmp_path, ORIGIN) as log:
                checked = check_told(log, writers.acknowledged, checked, session)
                if session % 20 == 0:
                    publish(log)
                    LogReader(tmp_path).check()
    assert checked > KILLS
    with Log.open(tmp_path, ORIGIN) as log:
        assert len({data.split()[0] for data in log.entries()}) == log.size == checked
        publish(log)
    LogReader(tmp_path).check()


def check_told(log: Log, acknowledged: dict[int, int], begin: int, session: int) -> int:
    """All entries that were told are there from `begin` on, in order, of the session that told."""
    assert log.size >= len(acknowledged)
    for number, data in enumerate(log.entries(begin), begin):
        said, by = map(int, data.split()[:2])
        assert said == number
        # What was durable but not told before the kill is the last session's, and stays.
        assert by == acknowledged.setdefault(number, session)
    return log.size


@pytest.fixture
def folder(tmp_path):
    """A log of 300 entries, of which the last 3 came in one append."""
    with Log.create(tmp_path, ORIGIN) as log:
        log.append(entries(0, 290))
        log.append(entries(290, 297))
        log.append(entries(297, 300))
    return tmp_path


def last_batch_bytes():
    return 40 + sum(2 + len(entry(number)) for number in range(297, 300))


def test_an_append_that_was_torn_anywhere_is_gone_as_a_whole(folder):
    whole = (folder / "journal").read_bytes()
    for lost in range(1, last_batch_bytes() + 1):
        (folder / "journal").write_bytes(whole[:-lost])
        with Log.open(folder, ORIGIN) as log:
            assert list(log.entries()) == entries(0, 297)
            log.append(entries(297, 300))
            assert list(log.entries()) == entries(0, 300)
        assert (folder / "journal").read_bytes() == whole


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 200), st.binary(max_size=60))
def test_rubbish_behind_what_was_synced_is_cut_off(tmp_path_factory, zeros, rubbish):
    folder = tmp_path_factory.mktemp("log")
    make_log(folder, 20)
    with (folder / "journal").open("ab") as stream:
        stream.write(bytes(zeros) + rubbish)
    with Log.open(folder, ORIGIN) as log:
        assert log.append(entries(20, 25)) == range(20, 25)
    with Log.open(folder, ORIGIN) as log:
        assert list(log.entries()) == entries(0, 25)


def test_damage_to_what_was_acknowledged_is_told_and_not_cut_off(folder):
    whole = (folder / "journal").read_bytes()
    for place in range(HEADER_BYTES, len(whole) - last_batch_bytes()):
        data = bytearray(whole)
        data[place] ^= 1
        (folder / "journal").write_bytes(data)
        with pytest.raises(LogCorrupt, match="already acknowledged"):
            Log.open(folder, ORIGIN)
    assert len((folder / "journal").read_bytes()) == len(whole)


def test_a_damaged_header_of_the_journal_never_opens_another_log(folder):
    with Log.open(folder, ORIGIN) as log:
        publish(log)
    whole = (folder / "journal").read_bytes()
    for place in range(HEADER_BYTES):
        for bit in range(8):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            (folder / "journal").write_bytes(data)
            try:
                with Log.open(folder, ORIGIN) as log:
                    assert list(log.entries()) == entries(0, 300)
            except LogError:
                continue
            (folder / "journal").write_bytes(whole)


def test_a_crash_between_any_two_files_of_a_full_bundle_is_made_good(tmp_path):
    """Every prefix of the files that one append writes, beside the journal from before them."""
    before, after = tmp_path / "before", tmp_path / "after"
    make_log(before, 200)
    make_log(after, 200)
    with Log.open(after, ORIGIN) as log:
        log.append(entries(200, 800))
    journal = Journal(before / "journal", ORIGIN)
    journal.append(journal.batch(entries(200, 800)))
    journal.close()
    unsettled = (before / "journal").read_bytes()
    made = sorted(set(files(after)) - set(files(before)))
    assert len(made) == 3 + 3 + 1
    for count in range(len(made) + 1):
        for name in made:
            (before / name).unlink(missing_ok=True)
        (before / "journal").write_bytes(unsettled)
        for name in made[:count]:
            (before / name).parent.mkdir(parents=True, exist_ok=True)
            (before / name).write_bytes((after / name).read_bytes())
        with Log.open(before, ORIGIN) as log:
            assert list(log.entries()) == entries(0, 800)
            if count == len(made):
                publish(log)
    with Log.open(after, ORIGIN) as log:
        publish(log)
    assert files(before) == files(after)
    assert (before / "journal").read_bytes() == (after / "journal").read_bytes()
    LogReader(before).check()


def test_a_full_file_that_differs_is_never_replaced(folder):
    with Log.open(folder, ORIGIN) as log:
        log.append(entries(300, 500))
    (folder / "tile/entries/001").write_bytes(b"\0\1x" * 256)
    with Log.open(folder, ORIGIN) as log, pytest.raises(LogCorrupt, match="would change"):
        log.append(entries(500, 600))
    with pytest.raises(LogCorrupt, match="would change"):
        Log.open(folder, ORIGIN)
    (folder / "tile/entries/001").unlink()
    with Log.open(folder, ORIGIN) as log:
        assert list(log.entries()) == entries(0, 600)


def test_what_a_killed_writer_had_not_named_is_gone_when_the_next_one_opens(folder):
    torn = [folder / ".checkpoint.0a1b2c3d.part", folder / "tile" / "0" / ".000.0a1b2c3d.part"]
    others = folder / "inbox" / ".statement.json.0a1b2c3d.part"
    others.parent.mkdir()
    for path in (*torn, others):
        path.write_bytes(b"torn")
    with Log.open(folder, ORIGIN) as log:
        assert log.size == 300
    assert not any(path.exists() for path in torn)
    assert others.exists(), "whoever hands in is writing it"

"""A real run between sites goes on whatever happens to a member, a link, a disk or the store.

All of it happens to one run, one after another, in the order of this page. Each test begins and
ends with all members in a round; at the end the whole log is verified.
"""

import subprocess
import sys
import threading
import time

import clilab
import pytest
from clocks import clock_off
from faultlab import ENDLESS, MEMBERS, Running, Seen, away, federation

from concord.base.clock import SystemClock
from concord.federation.office import Office
from concord.federation.sited import drive

__all__ = ["clock_off"]
pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    root = tmp_path_factory.mktemp("faults")
    made = federation(root / "atlas", rounds=ENDLESS, quorum="1/2")
    with Running(made, linked=True) as run:
        run.wait_until_all_take_part()
        yield run


@pytest.fixture
def run(endless):
    yield endless
    endless.wait_until_all_take_part()


def test_a_killed_process_of_a_member_is_started_again_within_its_segment(run):
    before = run.segments
    run.seen.left.clear()
    run.member_process("fiji").kill()
    run.wait_for("it is missed", lambda: run.seen.left)
    took_s = run.wait_until_all_take_part()
    print(f"\na killed process of a member took part again after {took_s:.1f} s")
    assert [member for member, _ in run.seen.left] == ["fiji"]
    assert run.segments == before


def test_a_killed_site_is_back_in_the_next_segment_and_no_round_is_lost(run):
    before, first = run.segments, run.seen.last
    run.kill_site("fiji")
    run.sites["fiji"].start()
    started_s = time.monotonic()
    run.wait_until_goes_on_without("fiji")
    run.wait_until_all_take_part()
    alone = max(r for r, who in run.seen.members.items() if "fiji" not in who)
    back_s = run.seen.committed_s[alone + 1] - started_s
    print(f"\na killed site took part again {back_s:.1f} s after its restart")
    assert run.segments == before + 1
    assert sorted(r for r in run.seen.members if r > first) == list(
        range(first + 1, run.seen.last + 1)
    )


def test_a_member_that_comes_back_after_many_rounds_takes_the_base_and_goes_on(run):
    run.kill_site("fiji")
    run.wait_until_goes_on_without("fiji")
    run.wait_for_rounds(20)
    run.sites["fiji"].start()
    run.wait_until_all_take_part()


def test_a_member_that_stands_still_is_lost_and_comes_back_in_its_segment(run):
    before = run.segments
    with run.frozen("fiji"):
        run.wait_until_goes_on_without("fiji")
    took_s = run.wait_until_all_take_part()
    print(f"\na site that stood still took part again {took_s:.1f} s after it moved")
    assert run.segments == before


def test_a_link_that_falls_silent_costs_a_member_its_line_and_nothing_else(run):
    run.links["fiji"].silence()
    run.wait_until_goes_on_without("fiji")
    run.links["fiji"].mend()
    took_s = run.wait_until_all_take_part()
    print(f"\na member took part again {took_s:.1f} s after its silent link was mended")


def test_a_link_that_breaks_is_made_anew(run):
    run.links["fiji"].cut()
    took_s = run.wait_until_all_take_part()
    print(f"\nall took part again {took_s:.1f} s after a link broke")


def test_a_member_with_a_full_disk_is_missed_until_there_is_room(run):
    run.seen.left.clear()
    with run.full_disk("fiji"):
        run.wait_until_goes_on_without("fiji")
    assert {member for member, _ in run.seen.left} == {"fiji"}
    print(f"\nit left because: {run.seen.left[0][1]}")
    took_s = run.wait_until_all_take_part()
    print(f"a member took part again {took_s:.1f} s after there was room")


def test_a_coordinator_with_a_full_disk_goes_on_once_there_is_room(run):
    before = run.seen.last
    run.seen.notes.clear()
    with run.full_disk("server"):
        run.wait_for("a new segment is promised", lambda: told(run, "cannot be written"))
        assert run.seen.last <= before + 2
    took_s = run.wait_for_rounds()
    print(f"\nrounds went on {took_s:.1f} s after there was room")


def told(run, words):
    return [text for text in run.seen.notes if words in text]


@pytest.mark.parametrize("what", ["objects", "log"])
def test_a_store_that_is_away_for_a_while_stops_the_run_for_as_long(run, what):
    run.seen.notes.clear()
    with away(run.folder.root / what):
        run.wait_for("a new segment is promised", lambda: told(run, "a new segment begins"))
        before = run.seen.last
        time.sleep(5)
        assert run.seen.last == before
    print(f"\n{run.seen.notes[0]}")
    took_s = run.wait_for_rounds()
    print(f"rounds went on {took_s:.1f} s after {what} was there again")


def test_a_member_whose_clock_is_an_hour_ahead_is_left_out_until_it_is_right(run, clock_off):
    run.kill_site("fiji")
    run.seen.refusals.clear()
    with clock_off(3600):
        run.sites["fiji"].start()
    run.wait_for("it is refused", lambda: refused(run, "fiji"))
    print(f"\nan hour ahead: {refused(run, 'fiji')[0]}")
    run.wait_until_goes_on_without("fiji")
    run.kill_site("fiji")
    run.sites["fiji"].start()


def test_a_member_whose_clock_is_an_hour_behind_believes_no_certificate(run, clock_off):
    """Those of this run are younger than an hour."""
    run.kill_site("fiji")
    with clock_off(-3600):
        run.sites["fiji"].start()
    run.wait_until_goes_on_without("fiji")
    time.sleep(20)
    assert not run.sites["fiji"].registered()
    run.kill_site("fiji")
    run.sites["fiji"].start()
    run.wait_for("it is let in", run.sites["fiji"].registered)


def refused(run, member):
    return [reason for who, _, reason in run.seen.refusals if who == member]


def test_a_second_coordinator_beside_the_first_commits_no_round_twice(run):
    """Two drivers submit segments of one run to one server; the run's lock decides."""
    seen, over = Seen(), threading.Event()
    second = threading.Thread(
        target=drive,
        args=(run.document, run.records, run.kits.driver),
        kwargs={"watcher": seen, "stopped": over.is_set},
        daemon=True,
    )
    second.start()
    try:
        run.wait_for("rounds of the second one", lambda: len(seen.committed_s) > 3)
    finally:
        over.set()
        second.join()
    run.wait_for_rounds(5)
    numbers = sorted(int(p.stem) for p in (run.records.root / "records").glob("[0-9]*.json"))
    assert numbers == list(range(len(numbers)))
    assert set(seen.committed_s) <= set(numbers)


def test_a_coordinator_of_one_machine_is_refused_while_the_sites_run(run):
    said = subprocess.run(
        [sys.executable, "-m", "concord.cli.main", "run", run.folder.root, "--resume"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode != 0
    assert "another process runs this run" in said.stderr
    run.wait_for_rounds()


def test_after_all_this_the_log_and_every_base_are_whole(endless, capsys):
    endless.leave()
    endless.wait_for_end()
    Office(endless.folder, SystemClock()).cosign(MEMBERS)  # it was stopped before they could
    checked = clilab.concord(capsys, "verify", endless.folder.root)
    assert checked.status == 0, checked.err

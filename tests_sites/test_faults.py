"""A real run between sites: what is killed comes back, and the bases are those of one machine."""

import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cli"))

import clilab

from concord.federation.folders import FederationFolder
from concord.federation.launch import run_locally
from concord.federation.records import RunFolder
from concord.federation.sited import drive, make_kits, sites_up
from concord.federation.watcher import Watcher

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]
MEMBERS = ("chad", "fiji")
PATIENCE_S = 600.0


class Seen(Watcher):
    """When what happened, in seconds."""

    def __init__(self):
        self.left = []
        self.committed_s = {}
        self.members = {}

    def member_left(self, member, reason):
        self.left.append((member, reason))

    def committed(self, record):
        self.committed_s[record.round] = time.monotonic()
        self.members[record.round] = set(record.contributions)


def federation(root, *, rounds, quorum):
    root.mkdir()
    made = clilab.Federation(root)
    made.roster = [{"id": member} for member in MEMBERS]
    made.sections["rounds"] = {
        "count": rounds,
        "inner_steps": 3,
        "quorum": quorum,
        "min_grace_s": 5.0,
    }
    before, clilab.MEMBERS = clilab.MEMBERS, MEMBERS
    try:
        made.make()
    finally:
        clilab.MEMBERS = before
    for member in MEMBERS:
        private = made.member(member) / "private"
        private.mkdir(mode=0o700, exist_ok=True)
        (private / "split.key").write_bytes(member.encode().ljust(32, b"."))
    return made


def run(made, fault):
    """Run between sites; `fault(sites)` happens once four rounds are committed."""
    folder = FederationFolder(made.folder)
    document = folder.load_run(None)
    records = RunFolder(folder.root, document.name)
    kits = make_kits(folder, document)
    seen, over = Seen(), threading.Event()

    def disturb():
        while records.committed() < 4 and not over.wait(0.05):
            pass
        if not over.is_set():
            fault(sites)

    with sites_up(kits) as sites:
        thread = threading.Thread(target=disturb, daemon=True)
        thread.start()
        deadline_s = time.monotonic() + PATIENCE_S
        done = drive(
            document,
            records,
            kits.driver,
            watcher=seen,
            stopped=lambda: time.monotonic() > deadline_s,
        )
        over.set()
        thread.join()
    assert done, "not over in time"
    return seen


def test_a_killed_site_is_back_in_the_next_segment_and_no_round_is_lost(tmp_path):
    made = federation(tmp_path / "atlas", rounds=60, quorum="1/2")
    restarted = []

    def fault(sites):
        sites["fiji"].stop(0.0)
        sites["fiji"].start()
        restarted.append(time.monotonic())

    seen = run(made, fault)
    assert sorted(seen.members) == list(range(1, 61))
    assert "fiji" in [member for member, _ in seen.left]
    with_it = [r for r, s in seen.committed_s.items() if "fiji" in seen.members[r]]
    back = min(seen.committed_s[r] for r in with_it if seen.committed_s[r] > restarted[0])
    print(f"\na killed site took part again {back - restarted[0]:.1f} s after its restart")
    assert seen.members[60] == set(MEMBERS)


def test_a_killed_process_of_a_member_is_started_again_within_its_segment(tmp_path):
    made = federation(tmp_path / "atlas", rounds=40, quorum="1/2")

    def fault(sites):
        site = psutil.Process(sites["fiji"].pid)
        leaves = [one for one in site.children(recursive=True) if not one.children()]
        max(leaves, key=lambda one: one.create_time()).kill()

    seen = run(made, fault)
    assert sorted(seen.members) == list(range(1, 41))
    assert [member for member, _ in seen.left] == ["fiji"]
    assert seen.members[40] == set(MEMBERS)


def test_a_killed_coordinator_leaves_the_same_bases_as_one_machine_undisturbed(tmp_path):
    alone = federation(tmp_path / "alone", rounds=12, quorum="1")
    folder = FederationFolder(alone.folder)
    run_locally(folder, folder.load_run(None), resume=False, watcher=Watcher())
    made = federation(tmp_path / "atlas", rounds=12, quorum="1")

    def fault(sites):
        sites["server"].stop(0.0)
        sites["server"].start()

    seen = run(made, fault)
    assert set(seen.members) <= set(range(1, 13))
    assert made.bases() == alone.bases()

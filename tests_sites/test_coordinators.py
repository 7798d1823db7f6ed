"""A killed coordinator costs at most the open round; of two coordinators the log decides."""

import shutil
import time

import clilab
import pytest
from faultlab import Running, federation

from concord.federation.folders import FederationFolder
from concord.federation.launch import run_locally
from concord.federation.watcher import Watcher

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]
ROUNDS = 10


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The bases of the same run on one machine."""
    made = federation(tmp_path_factory.mktemp("alone") / "atlas", rounds=ROUNDS, quorum="1")
    folder = FederationFolder(made.folder)
    run_locally(folder, folder.load_run(None), resume=False, watcher=Watcher())
    return made.bases()


def finish(run):
    run.wait_for("the run is over", lambda: run.done is not None)


def test_a_coordinator_killed_in_every_phase_leaves_the_same_bases(tmp_path, undisturbed, capsys):
    made = federation(tmp_path / "atlas", rounds=ROUNDS, quorum="1")
    with Running(made) as run:
        moments = {
            "before the first base": lambda: "tokenizer" in run.seen.stages,
            "after the first base": run.records.started,
            "in a round": lambda: run.seen.called > 3,
            "after a round": lambda: run.records.committed() > 5,
        }
        for moment, is_now in moments.items():
            run.wait_for(moment, is_now)
            run.kill_site("server")
            killed_s = time.monotonic()
            run.sites["server"].start()
            before = len(run.seen.stages)
            run.wait_for("it goes on", lambda before=before: "rounds" in run.seen.stages[before:])
            print(f"\nkilled {moment}: went on after {time.monotonic() - killed_s:.1f} s")
        finish(run)
    assert made.bases() == undisturbed
    checked = clilab.concord(capsys, "verify", made.folder)
    assert checked.status == 0, checked.err


def test_a_coordinator_with_an_older_log_is_refused_and_the_true_one_ends_the_run(
    tmp_path, undisturbed
):
    """A copy of the coordinator's folder, some rounds old, calls the same members."""
    made = federation(tmp_path / "atlas", rounds=ROUNDS, quorum="1")
    with Running(made) as run:
        run.wait_for("some rounds", lambda: run.records.committed() >= 3)
        run.leave()
        run.wait_for_end()
        at = run.records.committed()
        older = clilab.Federation(tmp_path / "older")
        not_its = shutil.ignore_patterns("members", "sites-here")
        shutil.copytree(made.folder, older.folder, ignore=not_its)
        (older.folder / "members").symlink_to(made.folder / "members")
        run.drive()
        run.wait_for("more rounds", lambda: run.records.committed() >= at + 3)
    with Running(older) as other:
        other.wait_for("somebody objects", lambda: other.seen.left or other.failure, look_s=0.5)
        time.sleep(10)
        print(f"\nthe older one hears: {other.seen.left[:1]} {other.seen.notes[-1:]}")
        assert other.records.committed() == at
    with Running(made) as run:
        finish(run)
    assert made.bases() == undisturbed

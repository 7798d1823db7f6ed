"""What jobs leave in a kit goes once they are over; what runs, starts or is no job's stays."""

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from concord.base.errors import FederationError
from concord.federation.sites.leftovers import LOCK, STARTED_S, finished, hold, sweep

NOW_S = time.time()


def job(kit, *, locked=True, age_s=0.0):
    folder = kit / str(uuid.uuid4())
    (folder / "app_site" / "config").mkdir(parents=True)
    (folder / "log.txt").write_text("StorageError\n")
    if locked:
        (folder / LOCK).touch()
    os.utime(folder, (NOW_S - age_s, NOW_S - age_s))
    return folder


def swept(kit, pause=lambda seconds: None):
    return sweep(kit, now_s=lambda: NOW_S, pause=pause)


def test_finished_jobs_go_and_the_running_one_stays_whole(tmp_path):
    over, running = [job(tmp_path), job(tmp_path)], job(tmp_path)
    with hold(tmp_path, running.name):
        assert swept(tmp_path) == 2
        assert (running / "log.txt").read_text() == "StorageError\n"
    assert not any(folder.exists() for folder in over)


def test_the_job_of_another_process_is_over_once_that_process_was_killed(tmp_path):
    running = job(tmp_path)
    program = (
        "import sys, time, pathlib\n"
        "from concord.federation.sites.leftovers import hold\n"
        "with hold(pathlib.Path(sys.argv[1]), sys.argv[2]):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), running.name]
    environment = {**os.environ, "PYTHONPATH": str(Path("src").resolve())}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"held\n"
        assert swept(tmp_path) == 0
        with pytest.raises(FederationError), hold(tmp_path, running.name):
            pass
        process.kill()
    assert swept(tmp_path) == 1


def test_a_job_that_is_about_to_start_stays_and_one_that_never_did_goes(tmp_path):
    starting = job(tmp_path, locked=False)
    never = job(tmp_path, locked=False, age_s=STARTED_S + 1)
    assert finished(tmp_path, now_s=NOW_S) == {never}
    assert swept(tmp_path) == 1
    assert starting.exists()


def test_a_job_that_starts_during_the_pause_stays(tmp_path):
    late = job(tmp_path)
    holding = hold(tmp_path, late.name)
    assert swept(tmp_path, pause=lambda seconds: holding.__enter__()) == 0
    holding.__exit__(None, None, None)
    assert late.exists()


def test_what_the_server_put_away_in_the_pause_is_no_fault(tmp_path):
    folder = job(tmp_path)
    assert swept(tmp_path, pause=lambda seconds: shutil.rmtree(folder)) == 0


def test_nothing_but_jobs_goes_and_a_link_is_not_followed(tmp_path):
    kit, elsewhere = tmp_path / "kit", tmp_path / "elsewhere"
    for name in ("startup", "local", "jobs", "transfer", "snapshots"):
        (kit / name).mkdir(parents=True)
        (kit / name / LOCK).touch()
    own = job(elsewhere)
    (kit / own.name).symlink_to(own)
    (kit / str(uuid.uuid4())).write_text("a file")
    assert swept(kit) == 0
    assert len(list(kit.iterdir())) == 7
    assert (own / "log.txt").exists()


def test_without_anything_to_remove_nobody_waits(tmp_path):
    def refuse(seconds):
        raise AssertionError(f"waited {seconds} s")

    assert swept(tmp_path / "nothing", pause=refuse) == 0

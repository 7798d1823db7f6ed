"""Real training, killed at any moment and resumed, ends with the weights of an undisturbed run."""

import os
import random
import resource
import signal
import subprocess
from contextlib import suppress

import psutil
import pytest
from clilab import Federation, concord, finish, wait_for

from concord.cli.main import main

pytestmark = pytest.mark.processes
ROUNDS = 6


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Text is read and split, the tokenizer learned; no round has begun."""
    made = Federation(tmp_path_factory.mktemp("prepared")).make()
    for member in ("chad", "fiji", "peru"):
        private = made.member(member) / "private"
        private.mkdir(mode=0o700, exist_ok=True)
        # The secret of the split decides what is trained on: the same in every copy.
        (private / "split.key").write_bytes(member.encode().ljust(32, b"."))
    return made


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    federation = prepared.copy_to(tmp_path_factory.mktemp("undisturbed"))
    run_here(federation)
    return federation


@pytest.fixture(scope="module")
def undisturbed(finished):
    return finished.bases()


def family(process):
    """The coordinator and everything it started, directly or not."""
    coordinator = psutil.Process(process.pid)
    return [coordinator, *coordinator.children(recursive=True)]


def members(process):
    """Members are forked by the fork server, which is the coordinator's own child."""
    return [p for p in family(process)[1:] if p.ppid() != process.pid]


def all_gone(processes):
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def wait_at_most(process, seconds):
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def run_here(federation, *arguments):
    """Run to the end in this process, whose fork server has loaded everything once."""
    with pytest.raises(SystemExit) as done:
        main(["run", str(federation.folder), *arguments])
    assert done.value.code in (0, None)


def resume(federation):
    run_here(federation, "--resume")
    assert not federation.half_written()
    assert (federation.run_folder / "model" / "model.safetensors").exists()
    return federation.bases()


def test_everything_is_killed_at_any_moment(prepared, undisturbed, tmp_path):
    federation = prepared.copy_to(tmp_path)
    rng = random.Random(20)
    lock = federation.run_folder / "lock"
    for sign, longest_s in ((lock, 4.0), (federation.record(2), 0.2)):
        process = federation.start("--resume")
        wait_for(sign.exists)
        wait_at_most(process, rng.uniform(0.0, longest_s))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert resume(federation) == undisturbed


def test_a_member_that_is_killed_comes_back_and_the_run_ends_with_the_same_weights(
    prepared, undisturbed, tmp_path
):
    federation = prepared.copy_to(tmp_path)
    process = federation.start()
    wait_for(federation.record(2).exists)
    random.Random(21).choice(members(process)).kill()
    everyone = family(process)
    said = finish(process)
    assert said.status == 0, said.err
    assert "left: its connection ended" in said.err
    assert federation.bases() == undisturbed
    assert all_gone(everyone)


def test_no_member_outlives_its_coordinator_and_with_another_the_run_ends_with_the_same_bases(
    prepared, undisturbed, tmp_path, capsys
):
    federation = prepared.copy_to(tmp_path)
    process = federation.start()
    wait_for(federation.record(2).exists)
    everyone = family(process)
    assert len(members(process)) == 3
    process.kill()
    process.wait()
    wait_for(lambda: all_gone(everyone), timeout_s=15)
    process.communicate()
    assert len(federation.bases()) < ROUNDS + 1
    taken = concord(
        capsys, "coordinator", "take", federation.folder, "--as", "fiji", "--with", "all"
    )
    assert taken.status == 0, taken.err
    assert resume(federation) == undisturbed
    checked = concord(capsys, "verify", federation.folder)
    assert checked.status == 0, checked.err


def test_a_full_disk_ends_the_run_and_loses_nothing(prepared, undisturbed, tmp_path):
    federation = prepared.copy_to(tmp_path)
    process = federation.start()
    wait_for(federation.record(2).exists)
    # For the coordinator alone, no file may grow beyond this from now on.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    everyone = family(process)
    said = finish(process)
    assert said.status == 8, said.err
    assert "error C700: " in said.err
    assert str(federation.folder) in said.err
    assert "what to do: " in said.err
    assert "Traceback" not in said.err
    assert all_gone(everyone)
    assert not federation.half_written()
    assert 3 <= len(federation.bases()) < ROUNDS + 1
    assert resume(federation) == undisturbed


def test_an_interrupt_ends_everybody_in_silence(prepared, tmp_path):
    """As Ctrl-C does: the terminal sends it to the whole group."""
    federation = prepared.copy_to(tmp_path)
    process = federation.start()
    wait_for(federation.record(1).exists)
    everyone = family(process)
    os.killpg(process.pid, signal.SIGINT)
    said = finish(process)
    assert said.status == 130, said.err
    assert "concord run --resume" in said.err
    assert "Traceback" not in said.err
    assert "KeyboardInterrupt" not in said.err
    assert all_gone(everyone)
    assert not federation.half_written()


def test_no_arm_of_a_comparison_outlives_the_coordinator(finished, tmp_path):
    federation = finished.copy_to(tmp_path)
    process = federation.start("--resume", "--compare")
    wait_for((federation.run_folder / "comparison").exists)
    wait_for(lambda: members(process))
    everyone = family(process)
    process.kill()
    process.wait()
    wait_for(lambda: all_gone(everyone), timeout_s=30)
    process.communicate()

"""The environment and the end of a site's processes."""

import os
import subprocess
import sys
import time

import psutil

from concord.federation.sites.processes import environment
from concord.federation.sites.tree import end_tree

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if sys.argv[1] == "0":
    child = subprocess.Popen([sys.executable, __file__, "1"], start_new_session=True)
print("up", flush=True)
time.sleep(60)
"""


def runs(process):
    """Nobody may have taken note of its end: then it is a zombie, and does nothing any more."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_tree_whose_child_left_the_group_and_ignores_the_request_is_killed(tmp_path):
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN)
    process = subprocess.Popen(
        [sys.executable, script, "0"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout.readline() == b"up\n"
    children = psutil.Process(process.pid).children()
    assert process.stdout.readline() == b"up\n"
    assert os.getpgid(children[0].pid) != os.getpgid(process.pid)
    began_s = time.monotonic()
    end_tree(process.pid, pause_s=0.2)
    assert not psutil.pid_exists(process.pid)
    assert not runs(children[0])
    assert time.monotonic() - began_s < 5
    process.wait()
    process.stdout.close()


def test_a_process_that_ended_already_is_no_error():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    end_tree(process.pid, pause_s=0.1)


def test_secrets_and_code_of_the_surrounding_environment_are_not_handed_on(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("PYTHONSTARTUP", "/tmp/x.py")
    monkeypatch.setenv("PYTHONPATH", "/tmp/x")
    found = environment(tmp_path)
    assert "canary" not in found.values()
    assert "PYTHONSTARTUP" not in found
    assert found["PYTHONPATH"] == str(tmp_path)
    assert found["OMP_NUM_THREADS"] == "1"

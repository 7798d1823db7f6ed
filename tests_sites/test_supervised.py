"""What dies at a site comes back. Long: real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from concord.federation.sites.supervisor import Supervisor

SOURCE = Path(__file__).parents[1] / "src"
BACK_S = 60.0


@pytest.fixture
def up(sites):
    """`concord member up` for peru, as its operator gives it."""
    home = sites.kit("peru").parents[2]
    text = home / "text.txt"
    text.write_text("Words.")
    (home / "members" / "peru" / "member.toml").write_text(f'text = ["{text}"]\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "concord.cli.main", "member", "up", home],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def tree(process):
    return psutil.Process(process.pid).children(recursive=True)


def alive(processes):
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_killed_member_is_back_and_an_end_leaves_nothing(sites, up):
    sites.wait_for("peru")
    before = sites.registered()["peru"]
    (child,) = [p for p in tree(up) if "client_train" in " ".join(p.cmdline())]
    killed_s = time.monotonic()
    child.kill()
    while sites.registered().get("peru") in (None, before) or child.pid == newest(up):
        assert time.monotonic() - killed_s < BACK_S
        time.sleep(0.5)
    back_s = time.monotonic() - killed_s
    print(f"\na killed member was admitted again after {back_s:.1f} s")
    everything = tree(up)
    up.send_signal(signal.SIGTERM)
    said = up.communicate(timeout=30)[0]
    assert up.returncode == 0
    assert "it ended; started again in 2 s" in said
    assert said.rstrip().endswith("ended")
    assert alive(everything) == []


class Kept:
    """A process that the fixture ends, and not the supervisor."""

    def __init__(self, process, starts):
        self._process, self._starts = process, starts
        self.alive = process.alive

    def start(self):
        self._starts.append("again")
        self._process.start()

    def stop(self):
        if not self._process.alive():
            self._process.stop()


def newest(up):
    found = [p.pid for p in tree(up) if "client_train" in " ".join(p.cmdline())]
    return found[0] if found else None


def test_a_killed_server_is_started_again_and_its_members_come_back(sites):
    process = sites.processes["server"]
    over_s = time.monotonic() + 180
    back = {}

    def look():
        found = sites.registered()
        if len(starts) > 1 and {"chad", "fiji"} <= set(found):
            back["s"] = time.monotonic() - killed_s
        return "s" in back or time.monotonic() > over_s

    starts = ["first"]
    killed_s = time.monotonic()
    psutil.Process(process.pid).kill()
    sites.forget_session()
    Supervisor(Kept(process, starts), tell=lambda text: None, ended=look).run()
    assert "s" in back
    print(f"\nmembers were back {back['s']:.1f} s after the server was killed")

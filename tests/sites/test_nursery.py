"""A site's nursery: what it forks ends with whoever asked for it, and with the nursery."""

import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from concord.federation.engine.flare.cradle import Cradle
from concord.federation.sites.nursery import SOCKET, Keeper, listening

pytestmark = pytest.mark.processes
PATIENCE_S = 20.0
KEEPER = """
import os, sys, time
from pathlib import Path
from concord.federation.sites.nursery import Keeper, listening

def serve(stream):
    stream.sendall(str(os.getpid()).encode().ljust(16))
    if stream.recv(1) == b"e":
        raise SystemExit(3)
    time.sleep(600)

with listening(Path(sys.argv[1])) as listener:
    Keeper(listener, sys.stdin.fileno(), serve).keep()
"""


class Own:
    """The fork server of a job process that has no nursery."""

    def __init__(self):
        self.asked = []

    def warm(self):
        self.asked.append("warm")

    def start(self, member, folder):
        self.asked.append((member, folder))
        return "its own"


@pytest.fixture
def kit(tmp_path):
    """So deep that no path to a socket in it could be had."""
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def keeper(kit):
    process = subprocess.Popen([sys.executable, "-c", KEEPER, kit], stdin=subprocess.PIPE)
    wait((kit / SOCKET).exists)
    yield process
    process.stdin.close()
    process.wait(PATIENCE_S)


@pytest.fixture
def cradle(kit, keeper):
    cradle = Cradle(kit, "fiji", kit, Own())
    cradle.warm()
    return cradle


def wait(condition):
    ends_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_s
        time.sleep(0.01)


def born(cradle):
    """A process of the nursery's, and its id."""
    process = cradle.start()
    return process, int(process.stream.recv(16))


def test_a_process_lives_over_its_socket_until_it_is_ended(cradle, keeper):
    process, pid = born(cradle)
    with process.stream:
        assert psutil.Process(pid).ppid() == keeper.pid
        process.end(PATIENCE_S)
    assert not psutil.pid_exists(pid)
    assert cradle._own.asked == []


def test_a_process_that_ends_itself_ends_its_connection(cradle):
    process, pid = born(cradle)
    with process.stream:
        process.stream.sendall(b"e")
        assert process.held.recv(1) == b""
        process.end(PATIENCE_S)
    assert not psutil.pid_exists(pid)


def test_several_live_beside_each_other_and_one_end_leaves_the_other(cradle):
    (one, first), (other, second) = born(cradle), born(cradle)
    with one.stream, other.stream:
        one.end(PATIENCE_S)
        assert not psutil.pid_exists(first)
        assert psutil.pid_exists(second)
        other.end(PATIENCE_S)


def test_whoever_asked_and_was_killed_leaves_nobody(cradle):
    process, pid = born(cradle)
    process.held.close()  # as its end does
    wait(lambda: not psutil.pid_exists(pid))
    process.stream.close()


def test_the_end_of_whoever_started_it_ends_the_nursery_and_all_that_it_forked(cradle, keeper):
    process, pid = born(cradle)
    keeper.stdin.close()
    assert keeper.wait(PATIENCE_S) == 0
    assert not psutil.pid_exists(pid)
    process.end(PATIENCE_S)
    process.stream.close()


def test_without_a_nursery_a_job_process_loads_for_itself(kit):
    cradle = Cradle(kit, "fiji", kit, Own())
    cradle.warm()
    assert cradle.start() == "its own"
    assert cradle._own.asked == ["warm", ("fiji", kit)]


def test_a_nursery_that_was_killed_is_done_without(cradle, keeper):
    keeper.kill()
    keeper.wait(PATIENCE_S)
    cradle.warm()
    assert cradle.start() == "its own"


def test_who_comes_while_it_loads_waits_for_it(kit):
    with listening(kit) as listener:
        cradle = Cradle(kit, "fiji", kit, Own())
        early = threading.Thread(target=cradle.warm)
        early.start()
        time.sleep(0.05)
        assert early.is_alive()
        inner, outer = socket.socketpair()
        with inner, outer:
            keeper = Keeper(listener, inner.fileno(), lambda stream: None)
            kept = threading.Thread(target=keeper.keep)
            kept.start()
            early.join(PATIENCE_S)
            assert not early.is_alive()
            outer.sendall(b"!")
            kept.join(PATIENCE_S)
    assert cradle._own.asked == []

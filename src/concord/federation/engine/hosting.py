"""Processes of members on this machine: forked from one server that has loaded the libraries."""

from __future__ import annotations

import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

MemberMain = Callable[[socket.socket, Path], None]


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """What is started in here never sees Ctrl-C: it ends when its connection does.

    A terminal sends the interrupt to all processes; each would print a traceback of its own. The
    fork server and all it forks inherit the mask.
    """
    # Where it is not running yet, starting it would let interrupts through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class Hosted:
    """A member's process, and this end of its connection."""

    process: ForkServerProcess
    stream: socket.socket

    def end(self, patience_s: float) -> None:
        """Kill it if it still runs, and release what it held."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join(patience_s)
        self.process.close()


class Nursery:
    """Starts members' processes.

    Args:
        main: What a process runs: `concord.federation.workers.serve_member`.
        preload: Modules that the fork server loads once for all.
    """

    def __init__(self, main: MemberMain, preload: tuple[str, ...] = ()) -> None:
        self._main = main
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))

    def start(self, member: str, folder: Path) -> Hosted:
        """Start a member over a socket pair of its own."""
        ours, theirs = socket.socketpair()
        process = self._context.Process(
            target=self._main, args=(theirs, folder), name=f"member-{member}", daemon=True
        )
        process.start()
        theirs.close()
        return Hosted(process, ours)

    def warm(self) -> None:
        """Wait until the fork server has loaded everything: from then on a start is quick."""
        with interrupts_held_back():
            nothing = self._context.Process(target=_nothing, name="warm", daemon=True)
            nothing.start()
        nothing.join()
        nothing.close()


def _nothing() -> None:
    pass

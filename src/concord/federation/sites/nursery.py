"""A site's nursery: it has loaded the libraries once, and forks a member's process for every job.

    <kit>/nursery       a socket of this machine, for the site's own job processes

FLARE starts a process for each job, and what a member's process loads takes longest of all that
happens until a segment may begin. So one process does it when the site starts, beside everything
else, and the job processes of all segments ask it. It ends with whoever started it; a job process
that finds none loads the libraries itself.

    job process: b"?"             ─► b"!" once all is loaded
    job process: b"+", a socket   ─► the member's process runs over that socket, for as long as this
                                     connection is open; whichever ends first ends the other
"""

from __future__ import annotations

import importlib
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SOCKET = "nursery"
ASKED, LOADED, BORN = b"?", b"!", b"+"
REAP_S = 0.1
Serve = Callable[[socket.socket], None]


def main() -> None:
    """`python -m concord.federation.sites.nursery KIT`; ends when its input does."""
    from concord.federation.sites.site_files import read_site
    from concord.federation.workers import MEMBER_PRELOADED, serve_member

    kit = Path(sys.argv[1])
    folder = Path(read_site(kit).folder)
    os.umask(0o077)
    # Before it loads: a job process that comes early waits, and does not load a second time.
    with listening(kit) as listener:
        for module in MEMBER_PRELOADED:
            importlib.import_module(module)
        Keeper(listener, sys.stdin.fileno(), lambda stream: serve_member(stream, folder)).keep()


@contextmanager
def listening(kit: Path) -> Iterator[socket.socket]:
    """A socket at the kit's address, seen there once it listens; an earlier one is replaced."""
    new = kit / f"{SOCKET}.new"
    new.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        with _short(new) as address:
            listener.bind(address)
        listener.listen()
        new.rename(kit / SOCKET)
        yield listener


@contextmanager
def reached(kit: Path) -> Iterator[socket.socket]:
    """A connection to the nursery of a kit; the caller closes it.

    Raises:
        OSError: there is none.
    """
    with _short(kit / SOCKET) as address:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(address)
        except OSError:
            connection.close()
            raise
    yield connection


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A socket's address; that may have a hundred letters, and kits lie deep."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        there = Path(f"/proc/self/fd/{descriptor}")
        yield str((there if there.exists() else path.parent) / path.name)
    finally:
        os.close(descriptor)


class Keeper:
    """Forks processes, and ends each with the connection that asked for it.

    Args:
        listener: Where it is asked.
        over: A descriptor that can be read when it is time to end.
        serve: Runs in each forked process, over the socket that came with the question.
    """

    def __init__(self, listener: socket.socket, over: int, serve: Serve) -> None:
        self._listener = listener
        self._over = over
        self._serve = serve
        self._selector = selectors.DefaultSelector()
        self._born: dict[socket.socket, int] = {}

    def keep(self) -> None:
        """Answer until it is over; then nothing that was forked is left."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._over, selectors.EVENT_READ)
        try:
            while not self._look():
                self._reap()
        finally:
            for connection in list(self._born):
                self._end(connection)
            self._selector.close()

    def _look(self) -> bool:
        """Wait a moment; whether it is over."""
        for key, _ in self._selector.select(REAP_S if self._born else None):
            if key.fileobj == self._over:
                return True
            if key.fileobj is self._listener:
                connection, _ = self._listener.accept()
                self._selector.register(connection, selectors.EVENT_READ)
            elif isinstance(key.fileobj, socket.socket):
                self._hear(key.fileobj)
        return False

    def _hear(self, connection: socket.socket) -> None:
        try:
            word, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
        except OSError:
            word, descriptors = b"", []
        if word == ASKED:
            with suppress(OSError):
                connection.sendall(LOADED)
        elif word == BORN and descriptors and connection not in self._born:
            self._fork(connection, descriptors.pop())
        else:
            self._end(connection)
        for unasked in descriptors:
            os.close(unasked)

    def _fork(self, connection: socket.socket, descriptor: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._live(descriptor)
        os.close(descriptor)
        self._born[connection] = pid

    def _live(self, descriptor: int) -> None:
        """In the forked process: let go of what is the keeper's, and serve."""
        status = 1
        try:
            for key in list(self._selector.get_map().values()):
                if isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()
            self._selector.close()
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, self._over)
            with socket.socket(fileno=descriptor) as stream:
                self._serve(stream)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        finally:
            os._exit(status)  # nothing of the keeper's is to be tidied here

    def _reap(self) -> None:
        for connection, pid in list(self._born.items()):
            if os.waitpid(pid, os.WNOHANG) != (0, 0):
                del self._born[connection]
                self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        pid = self._born.pop(connection, None)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._selector.unregister(connection)
        connection.close()


if __name__ == "__main__":
    main()

"""Where a job process has its member's process from: the site's nursery, or its own fork server."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from concord.federation.engine.flare.seat import Process
from concord.federation.engine.hosting import Nursery
from concord.federation.sites.nursery import ASKED, BORN, LOADED, reached

LOADING_S = 120.0
"""So long a nursery may take to load; torch and all from a cold disk."""


@dataclass
class Nursed:
    """A member's process that the site's nursery forked."""

    stream: socket.socket
    held: socket.socket
    """The connection to the nursery: its end is the process's."""

    def end(self, patience_s: float) -> None:
        """Have it killed if it still runs, and wait until it is gone."""
        with suppress(OSError):
            self.held.shutdown(socket.SHUT_WR)
            self.held.settimeout(patience_s)
            self.held.recv(1)
        self.held.close()


class Cradle:
    """Starts a member's processes.

    Args:
        kit: The site's kit, at which its nursery listens if there is one.
        member: The member's id.
        folder: The member's own folder.
        own: Loads the libraries in a process of its own, where there is no nursery.
    """

    def __init__(self, kit: Path, member: str, folder: Path, own: Nursery) -> None:
        self._kit = kit
        self._member = member
        self._folder = folder
        self._own = own

    def warm(self) -> None:
        """Wait until a start will be quick."""
        with suppress(OSError), reached(self._kit) as connection, connection:
            connection.settimeout(LOADING_S)
            connection.sendall(ASKED)
            if connection.recv(1) == LOADED:
                return
        self._own.warm()

    def start(self) -> Process:
        """Start a process."""
        try:
            return self._nursed()
        except OSError:
            return self._own.start(self._member, self._folder)

    def _nursed(self) -> Nursed:
        with reached(self._kit) as connection:
            ours, theirs = socket.socketpair()
            try:
                with theirs:
                    socket.send_fds(connection, [BORN], [theirs.fileno()])
            except OSError:
                ours.close()
                connection.close()
                raise
        return Nursed(ours, connection)

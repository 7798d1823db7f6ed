"""A link between a member and the server that may be slow, silent or broken, as real ones are.

It passes bytes as they are: TLS goes from end to end.
"""

import socket
import threading
import time
from contextlib import suppress

PIECE_BYTES = 1 << 14
BUFFER_BYTES = 1 << 16
"""Of the system's own buffers: what was passed has nearly arrived."""


class Link:
    """Listens on a port of its own and passes what comes to the server's, and back.

    Args:
        target: The server's port on this machine.
    """

    def __init__(self, target):
        self._target = target
        self.up_bytes = 0
        self.down_bytes = 0
        self._bytes_per_s = None
        self._open = threading.Event()
        self._open.set()
        self._over = False
        self._pairs = []
        self._lock = threading.Lock()
        self._listener = _small(socket.socket())
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def slow(self, bytes_per_s):
        """From now on, so many bytes a second each way; None: as fast as it goes."""
        self._bytes_per_s = bytes_per_s

    def silence(self):
        """Nothing passes any more, and neither end is told: a half-open connection."""
        self._open.clear()

    def cut(self):
        """All connections break, and both ends are told; new ones may come."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _close(*pair)

    def mend(self):
        """As good as new: what was silent is cut."""
        self._bytes_per_s = None
        self.cut()
        self._open.set()

    def close(self):
        self._over = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.mend()

    def _accept(self):
        while not self._over:
            try:
                near, _ = self._listener.accept()
                far = _small(socket.socket())
                far.connect(("127.0.0.1", self._target))
            except OSError:  # the server is away, or this is over
                with suppress(OSError, UnboundLocalError):
                    near.close()
                continue
            with self._lock:
                self._pairs.append((near, far))
            for pair, way in (((near, far), "up_bytes"), ((far, near), "down_bytes")):
                threading.Thread(target=self._pass, args=(*pair, way), daemon=True).start()

    def _pass(self, source, sink, way):
        with suppress(OSError):
            while data := source.recv(PIECE_BYTES):
                self._open.wait()
                sink.sendall(data)
                with self._lock:
                    setattr(self, way, getattr(self, way) + len(data))
                if (rate := self._bytes_per_s) is not None:
                    time.sleep(len(data) / rate)
        _close(source, sink)


def _small(one):
    for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        one.setsockopt(socket.SOL_SOCKET, buffer, BUFFER_BYTES)
    return one


def _close(*sockets):
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()

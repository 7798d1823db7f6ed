"""A member whose connection is listened to: every byte that leaves it is also kept in a file."""

import socket
import threading
from pathlib import Path

from concord.federation.member.process import main as member_main


def tap_file(folder: Path) -> Path:
    return folder.parent.parent.parent / "tap" / f"{folder.name}.bin"


def main(stream: socket.socket, folder: Path) -> None:
    """Run a member behind a relay; the signature of a member's process."""
    inner, outer = socket.socketpair()
    kept = tap_file(folder)
    kept.parent.mkdir(exist_ok=True)
    with kept.open("ab", buffering=0) as file:
        threading.Thread(target=_relay, args=(stream, outer, None), daemon=True).start()
        threading.Thread(target=_relay, args=(outer, stream, file), daemon=True).start()
        member_main(inner, folder)
        inner.shutdown(socket.SHUT_WR)


def _relay(source, target, file):
    while chunk := source.recv(1 << 16):
        if file is not None:
            file.write(chunk)
        target.sendall(chunk)
    target.shutdown(socket.SHUT_WR)

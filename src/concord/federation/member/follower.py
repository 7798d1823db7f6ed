"""A further process of a member with several devices: does what the leader does, and says nothing.

    python -m concord.federation.member.follower SOCKET FOLDER

SOCKET is the inherited descriptor of a connection to the leader, FOLDER the member's. The process
ends at once when the leader does, whatever it is doing: it has nothing that is not the leader's.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from concord.base.errors import ConcordError, InternalError, MessageRefused
from concord.base.tensors import TensorFile
from concord.charter.run import parse_run
from concord.federation.folders import MemberFolder
from concord.federation.frames import ConnectionLost, Frame, receive_frame, send_frame
from concord.federation.member.inner import InnerTraining
from concord.federation.member.orders import ORDERS, Join, Measure, Order, Steps
from concord.federation.member.text import MemberText
from concord.federation.messages import Failed, decode_message, encode_message
from concord.train.distributed import join_on_this_machine, leader_says

MAX_TOKENIZER_BYTES = 1 << 30


def main(link: socket.socket, folder: MemberFolder) -> None:
    """Follow the leader until it ends."""
    os.umask(0o077)
    torch.set_num_threads(1)
    inbox: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    spool = folder.open_private("incoming")
    threading.Thread(target=_read, args=(link, spool, inbox.put), daemon=True).start()
    try:
        _follow(folder, inbox)
    except ConcordError as error:
        failed = Failed(code=error.code, message=str(error)[:2000])
    except Exception as error:  # noqa: BLE001 - the boundary: no traceback, no text leaves
        told = InternalError(f"a process of the member failed with {type(error).__name__}")
        failed = Failed(code=told.code, message=str(told))
    with suppress(ConnectionLost):
        send_frame(link, encode_message(failed))
    # The leader decides when to end: it may be about to tell the same failure itself.
    threading.Event().wait()


def _read(link: socket.socket, spool: Path, put: Callable[[Frame], None]) -> None:
    try:
        while True:
            put(receive_frame(link, spool, max_payload_bytes=MAX_TOKENIZER_BYTES))
    except (ConnectionLost, ConcordError, OSError):
        os._exit(0)


def _follow(folder: MemberFolder, inbox: queue.SimpleQueue[Frame]) -> None:
    join = _decode(frame := inbox.get())
    if not isinstance(join, Join):
        raise MessageRefused("the first order must be to join", where="leader")
    text = MemberText(folder, parse_run(join.run, where="plan"))
    text.open(frame.read_payload() or None)
    device = torch.device(join.device)
    ranks = join_on_this_machine(
        device, meeting=Path(join.meeting), index=join.index, count=join.count
    )
    inner = InnerTraining(text, device=device, ranks=ranks)
    while True:
        match _decode(inbox.get()):
            case Steps() as steps:
                local = None if steps.local is None else TensorFile(Path(steps.local))
                base = TensorFile(Path(steps.base))
                inner.restore(base, local, steps.round, since=steps.since)
                stats, _ = inner.take_steps(
                    steps.round,
                    steps.inner_steps,
                    attempt=steps.attempt,
                    should_stop=lambda: leader_says(False, ranks=ranks),
                )
                if stats.steps == steps.inner_steps:
                    inner.give()
            case Measure(base=base):
                inner.measure(TensorFile(Path(base)))
            case Join():
                raise MessageRefused("joined already", where="leader")


def _decode(frame: Frame) -> Order:
    return decode_message(ORDERS, frame.message, sender="leader")


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), MemberFolder(Path(sys.argv[2])))

"""The processes of a member with several devices, led by the one that has the connection.

    coordinator ◄──frames──► leader (rank 0) ──orders──► follower (rank 1) …
                                 ▲                           ▲
                                 └───── gloo or NCCL ────────┘

The leader receives, encodes, sends and keeps; the followers hold their slices of network and
optimiser, and take part in what needs all slices. Orders go over socket pairs, which also tell each
side at once that the other has ended: no process outlives the leader, and a leader that has lost a
follower ends and is started again by the engine.
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from concord.base.errors import ConcordError
from concord.charter.document import Document
from concord.federation.frames import ConnectionLost, receive_frame, send_frame
from concord.federation.member.devices import choose_device
from concord.federation.member.orders import REPORTS, Join
from concord.federation.member.text import MemberText
from concord.federation.messages import Failed, decode_message, encode_message
from concord.train.distributed import join_on_this_machine, leader_says
from concord.train.ranks import ONE_PROCESS, Ranks

REPORT_S = 2.0
"""So long a leader has to tell a failure itself that a follower met too."""
LOSS_S = 10.0
"""So long a leader whose call failed waits to be ended for the loss of a follower."""
END_S = 5.0
Stop = Callable[[], bool]


class Group(Protocol):
    """The processes that share a member's work."""

    device: torch.device
    ranks: Ranks

    def leading(self, order: Document) -> AbstractContextManager[None]:
        """Tell all to do what the leader does in this context."""

    def agreed(self, stop: Stop) -> Stop:
        """The leader's answer, given by all processes."""

    def close(self) -> None:
        """End the other processes and wait for their end."""


@dataclass
class OneDevice:
    """The usual case: nobody to tell, nothing to agree on."""

    device: torch.device
    ranks: Ranks = ONE_PROCESS

    def leading(self, order: Document) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()

    def agreed(self, stop: Stop) -> Stop:
        return stop

    def close(self) -> None:
        """Nothing to end."""


def form_group(
    text: MemberText, tokenizer: bytes | None, on_loss: Callable[[Failed | None], None]
) -> Group:
    """Start a process for each further device of the member, if it has several.

    Args:
        text: The member's text, its shards written.
        on_loss: Called from another thread when a follower has ended or failed.

    Raises:
        DocumentError: the machine has fewer devices.
    """
    device = choose_device(text.file, text.folder.file)
    if text.file.devices == 1:
        return OneDevice(device)
    return SeveralDevices(text, tokenizer, kind=device.type, on_loss=on_loss)


class SeveralDevices:
    """The leader's side of the group; made when all have met.

    Args:
        kind: `cpu` or `cuda`; the other arguments are those of `form_group`.
    """

    def __init__(
        self,
        text: MemberText,
        tokenizer: bytes | None,
        *,
        kind: str,
        on_loss: Callable[[Failed | None], None],
    ) -> None:
        self._spool = text.folder.open_private("incoming")
        self._on_loss = on_loss
        self._closing = False
        count = text.file.devices
        self._meeting = self._spool / f"{secrets.token_hex(8)}.meeting"
        self._followers = [self._start(text.folder.root) for _ in range(1, count)]
        for index, (_, link) in enumerate(self._followers, start=1):
            order = Join(
                run=text.run.model_dump(mode="json"),
                meeting=str(self._meeting),
                device=_device_name(kind, index),
                index=index,
                count=count,
            )
            send_frame(link, encode_message(order), tokenizer)
        self.device = torch.device(_device_name(kind, 0))
        self.ranks = join_on_this_machine(self.device, meeting=self._meeting, index=0, count=count)

    @contextmanager
    def leading(self, order: Document) -> Iterator[None]:
        for _, link in self._followers:
            send_frame(link, encode_message(order))
        try:
            yield
        except (ConcordError, ConnectionLost):
            raise
        except Exception:
            # Most likely a follower ended in the midst of it; then so does this process.
            time.sleep(LOSS_S)
            raise

    def agreed(self, stop: Stop) -> Stop:
        return lambda: leader_says(stop(), ranks=self.ranks)

    def close(self) -> None:
        self._closing = True
        for _, link in self._followers:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        for process, _ in self._followers:
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._meeting.unlink(missing_ok=True)

    def _start(self, folder: Path) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        name = "concord.federation.member.follower"
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", name, str(theirs.fileno()), str(folder.resolve())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        threading.Thread(target=self._watch, args=(ours,), daemon=True).start()
        return process, ours

    def _watch(self, link: socket.socket) -> None:
        failed = None
        try:
            frame = receive_frame(link, self._spool, max_payload_bytes=0)
            failed = decode_message(REPORTS, frame.message, sender="follower")
            time.sleep(REPORT_S)
        except (ConnectionLost, ConcordError):
            pass
        if not self._closing:
            self._on_loss(failed)


def _device_name(kind: str, index: int) -> str:
    return f"cuda:{index}" if kind == "cuda" else "cpu"

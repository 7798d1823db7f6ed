"""What the engine needs from whatever lies below: to ask a peer, and to answer one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Answer = Callable[[str, memoryview], bytes]
"""Takes the peer's name and what it asks; runs on any thread, and may block for a moment only."""


class Unreachable(Exception):
    """No answer came. Never reaches a user: whoever asked tries again, or loses the peer."""


class NoWay(Unreachable):
    """Nobody of that name is connected, so that there is nothing to wait for."""


class Wire(Protocol):
    """Questions and answers between named parties, each as bytes.

    A question may be lost, may be answered though the answer is lost, and may arrive twice.
    """

    overhead_bytes: int
    """What each question and each answer costs beyond its bytes."""

    def ask(self, peer: str, topic: str, question: bytes, timeout_s: float) -> memoryview:
        """Ask a peer and wait.

        Raises:
            Unreachable: no answer came within `timeout_s`, or the peer has none.
        """

    def answer(self, topic: str, answer: Answer) -> None:
        """From now on, answer questions about `topic`.

        `answer` MUST be given the name under which the peer was admitted, bound to its
        certificate, and never one that the question names.
        """

"""A wire that counts what crosses it, by peer."""

from __future__ import annotations

import threading

from concord.federation.engine.flare.wire import Answer, Wire
from concord.federation.engine.interface import Traffic


class CountedWire:
    """Counts questions and answers, as the wire below says they cost.

    Args:
        wire: What carries them.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._traffic: dict[str, Traffic] = {}
        self._lock = threading.Lock()
        self.overhead_bytes = wire.overhead_bytes

    def ask(self, peer: str, topic: str, question: bytes, timeout_s: float) -> memoryview:
        self._count(peer, down=len(question))
        answer = self._wire.ask(peer, topic, question, timeout_s)
        self._count(peer, up=len(answer))
        return answer

    def answer(self, topic: str, answer: Answer) -> None:
        def counted(peer: str, question: memoryview) -> bytes:
            self._count(peer, up=len(question))
            data = answer(peer, question)
            self._count(peer, down=len(data))
            return data

        self._wire.answer(topic, counted)

    def traffic(self, peer: str) -> Traffic:
        """What has crossed so far: `up` came from the peer."""
        with self._lock:
            return self._traffic.setdefault(peer, Traffic())

    def _count(self, peer: str, *, up: int | None = None, down: int | None = None) -> None:
        with self._lock:
            traffic = self._traffic.setdefault(peer, Traffic())
            if up is not None:
                traffic.up_bytes += up + self.overhead_bytes
            if down is not None:
                traffic.down_bytes += down + self.overhead_bytes

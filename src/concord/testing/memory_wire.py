"""A wire between parties of one process, which loses, doubles and delays what it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from concord.federation.engine.flare.wire import Answer, NoWay, Unreachable

Fault = Callable[[str, str, str, int], str]
"""Asker, peer, topic and how many such questions there were: "", "lost", "deaf" or "twice"."""


@dataclass
class Switchboard:
    """All parties of one test, and what goes wrong between them.

    `lost`: the question does not arrive. `deaf`: it is answered, but the answer is lost.
    `twice`: it arrives twice.
    """

    fault: Fault = lambda *_: ""
    asked: dict[tuple[str, str, str], int] = field(default_factory=dict)
    bytes_answered: dict[tuple[str, str], int] = field(default_factory=dict)
    _answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    _cut: set[str] = field(default_factory=set)
    _gone: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wire(self, name: str) -> MemoryWire:
        """The end of one party; a later one of the same name takes its place."""
        with self._lock:
            for key in [key for key in self._answers if key[0] == name]:
                del self._answers[key]
        return MemoryWire(self, name)

    def cut(self, name: str) -> None:
        """From now on nothing reaches this party, and nothing of it arrives."""
        self._cut.add(name)

    def mend(self, name: str) -> None:
        self._cut.discard(name)

    def kill(self, name: str) -> None:
        """This party is gone, and everybody who asks it finds out at once."""
        self._gone.add(name)

    def put_answer(self, name: str, topic: str, answer: Answer) -> None:
        with self._lock:
            self._answers[name, topic] = answer

    def carry(self, asker: str, peer: str, topic: str, question: bytes) -> memoryview:
        with self._lock:
            key = (asker, peer, topic)
            number = self.asked[key] = self.asked.get(key, 0) + 1
            answer = self._answers.get((peer, topic))
        if peer in self._gone:
            raise NoWay(peer)
        fault = self.fault(asker, peer, topic, number)
        if answer is None or fault == "lost" or (self._cut | self._gone) & {asker, peer}:
            raise Unreachable(peer)
        data = answer(asker, memoryview(question))
        if fault == "twice":
            data = answer(asker, memoryview(question))
        if fault == "deaf" or (self._cut | self._gone) & {asker, peer}:
            raise Unreachable(peer)
        with self._lock:
            total = self.bytes_answered.get((topic, asker), 0)
            self.bytes_answered[topic, asker] = total + len(data)
        return memoryview(data)


class MemoryWire:
    """One party's end of a switchboard."""

    overhead_bytes = 0

    def __init__(self, board: Switchboard, name: str) -> None:
        self._board = board
        self._name = name

    def ask(self, peer: str, topic: str, question: bytes, timeout_s: float) -> memoryview:
        """Ask; nothing here takes long enough to time out."""
        del timeout_s
        return self._board.carry(self._name, peer, topic, question)

    def answer(self, topic: str, answer: Answer) -> None:
        self._board.put_answer(self._name, topic, answer)

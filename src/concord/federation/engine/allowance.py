"""How much a member may still send: bounded by what it was asked, whatever it does.

    each message to a member    +8 messages and +1 payload, up to 256 and 4 in hand
    time                        +4 messages a second, for progress

An honest member answers a message with two messages and a payload at most, and tells of its
progress twice a second. A member that floods is cut off before its frames fill memory or disk;
what one frame may hold is bounded elsewhere (`frames`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from concord.base.errors import MessageRefused

MESSAGES_PER_QUESTION = 8
MESSAGES_PER_SECOND = 4.0
MOST_MESSAGES = 256.0
MOST_PAYLOADS = 4


@dataclass
class Allowance:
    """What one connection may still send. Two threads use it."""

    asked_s: float
    """When it was last topped up, in seconds of the clock that the caller reads."""
    messages: float = 16.0
    payloads: int = 1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self) -> None:
        """A message goes to the member: it may answer."""
        with self._lock:
            self.messages = min(MOST_MESSAGES, self.messages + MESSAGES_PER_QUESTION)
            self.payloads = min(MOST_PAYLOADS, self.payloads + 1)

    def spend(self, *, payload: bool, now_s: float) -> None:
        """A frame came.

        Raises:
            MessageRefused: it is one too many.
        """
        with self._lock:
            earned = MESSAGES_PER_SECOND * max(0.0, now_s - self.asked_s)
            self.messages = min(MOST_MESSAGES, self.messages + earned) - 1
            self.asked_s = now_s
            self.payloads -= payload
            if self.messages < 0:
                raise MessageRefused("sent far more messages than it was asked for")
            if self.payloads < 0:
                raise MessageRefused("sent more payloads than it was asked for")

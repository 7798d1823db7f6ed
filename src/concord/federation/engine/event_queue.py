"""Events on their way from an engine's threads to its coordinator."""

from __future__ import annotations

import queue

from concord.base.errors import StorageError
from concord.federation.engine.interface import Event


class EventQueue:
    """Takes events from any thread, and gives them out in order to one that asks."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event | StorageError] = queue.SimpleQueue()

    def put(self, event: Event | StorageError) -> None:
        """Queue what happened, or an error of our own disk."""
        self._events.put(event)

    def next(self, timeout_s: float) -> Event | None:
        """Wait for the next event, or return None after `timeout_s`.

        Raises:
            StorageError: it is next.
        """
        try:
            event = self._events.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        if isinstance(event, StorageError):
            raise event
        return event

"""Updates of one round, decoded side by side.

A network has many small tensors, and most of the time that decoding them takes goes into the calls
and not into the values. So the same small tensor of several members is decoded, and measured, at
once. Nothing depends on which tensors go together: every value comes out as it does alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from concord.base.errors import UpdateRefused
from concord.base.tensors import FloatArray
from concord.update.codecs import CODECS, WINDOW
from concord.update.gauge import Gauge, UpdateNorms
from concord.update.layout import Entry
from concord.update.payload import UpdateFile


class Stack:
    """Some updates of one layout.

    Args:
        updates: The updates, opened.
        gauge: Sees all that is decoded; without one nothing is measured.
    """

    def __init__(self, updates: Sequence[UpdateFile], gauge: Gauge | None = None) -> None:
        self._updates = tuple(updates)
        self._gauge = gauge

    def parts(self, entry: Entry) -> Iterator[tuple[int, int, FloatArray]]:
        """Decode a tensor of all updates: those of the first one come first, in order.

        A part is valid until the next one is asked for, and may be overwritten by the caller.

        Returns:
            Of each part the number of its first update, the place of its first value in the tensor,
            and the values: a row for each update from the first one on.

        Raises:
            UpdateRefused: MALFORMED or NON_FINITE.
        """
        together = 2 * WINDOW // max(entry.spec.size, 1)
        for first in range(0, len(self._updates), max(together, 1)):
            group = self._updates[first : first + max(together, 1)]
            for number, start, values_MN in self._decoded(entry, group):
                if self._gauge is not None:
                    self._gauge.take(entry, first + number, values_MN)
                yield first + number, start, values_MN

    def _decoded(
        self, entry: Entry, group: Sequence[UpdateFile]
    ) -> Iterator[tuple[int, int, FloatArray]]:
        codec, size = CODECS[entry.codec], entry.spec.size
        encoded = [update.encoded(entry.name) for update in group]
        together = len(group) > 1 and all(update.plain for update in group)
        data = codec.joined(encoded, size) if together else None
        if data is None:
            for number, update in enumerate(group):
                start = 0
                for window in update.windows(entry.name):
                    yield number, start, window.reshape(1, -1)
                    start += window.size
            return
        try:
            for window in codec.windows(memoryview(data), len(group) * size, 2 * WINDOW):
                yield 0, 0, window.reshape(len(group), size)
        except UpdateRefused as error:
            raise UpdateRefused(error.reason, error.message, where=entry.name) from error


def measure(update: UpdateFile) -> UpdateNorms:
    """Decode all of an update and return its norms.

    Raises:
        UpdateRefused: MALFORMED or NON_FINITE.
    """
    gauge = Gauge(update.layout, members=1)
    stack = Stack([update], gauge)
    for entry in update.layout:
        for _ in stack.parts(entry):
            pass
    return gauge.norms(0)

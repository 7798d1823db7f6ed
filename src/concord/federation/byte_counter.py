"""What crossed each member's boundary since the last time that it was asked."""

from __future__ import annotations

from collections.abc import Sequence

from concord.federation.engine.interface import Engine


class ByteCounter:
    """Counts from one call of `since_last` to the next, by the engine's own running totals."""

    def __init__(self, engine: Engine, members: Sequence[str]) -> None:
        self._engine = engine
        self._counted = dict.fromkeys(members, (0, 0))

    def since_last(self) -> tuple[dict[str, int], dict[str, int]]:
        """Bytes up, and down, of each member."""
        up, down = {}, {}
        for member, (up_before, down_before) in self._counted.items():
            traffic = self._engine.traffic(member)
            up[member] = traffic.up_bytes - up_before
            down[member] = traffic.down_bytes - down_before
            self._counted[member] = (traffic.up_bytes, traffic.down_bytes)
        return up, down

"""Batches large enough to be worth a call and small enough to be held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

MAX_ITEMS = 256
MAX_CHARACTERS = 1 << 20
Item = TypeVar("Item")


def batches(items: Iterable[Item], characters: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Yield the items in lists of at most `MAX_ITEMS`, closed once `MAX_CHARACTERS` is reached."""
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += characters(item)
        if len(batch) == MAX_ITEMS or size >= MAX_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch

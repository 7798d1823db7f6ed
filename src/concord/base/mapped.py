"""Files looked at through a memory map, whose pages do not pile up in this process."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

WORTH_BYTES = 1 << 18
"""Shorter parts are left: what they hold is less than what asking costs."""


def map_file(path: Path) -> memoryview:
    """All of a file that is not empty, for reading.

    Raises:
        OSError, ValueError: it cannot be read; it is empty.
    """
    with path.open("rb") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def let_go(data: memoryview, part: memoryview) -> None:
    """Drop the pages of a part of a mapped file from this process; they can still be read again.

    They stay in the system's cache, so only this process's share of memory shrinks.
    """
    if not isinstance(data.obj, mmap.mmap) or part.nbytes < WORTH_BYTES:
        return
    start = _address(part) - _address(data)
    first = start - start % mmap.PAGESIZE
    data.obj.madvise(mmap.MADV_DONTNEED, first, start + part.nbytes - first)


def _address(part: memoryview) -> int:
    return int(np.frombuffer(part, np.uint8).ctypes.data)

"""A map from 64-bit keys to several numbers each, in 12 bytes an entry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_Run = tuple[NDArray[np.uint64], NDArray[np.uint32]]


class SortedRuns:
    """Sorted arrays, merged as they grow, so that there are few and each entry moves seldom.

    The log-structured merge of O'Neil et al. 1996, in memory: n entries make at most about
    log2(n) runs, and an entry is merged as often.
    """

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def add(self, keys: NDArray[np.uint64], numbers: NDArray[np.uint32]) -> None:
        """Add entries; equal keys keep the order in which they came."""
        self._runs.append(_sorted(keys, numbers))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            (keys_a, numbers_a), (keys_b, numbers_b) = self._runs[-2:]
            self._runs[-2:] = [
                _sorted(np.concatenate([keys_a, keys_b]), np.concatenate([numbers_a, numbers_b]))
            ]

    def find(
        self, keys: NDArray[np.uint64], most: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the entries of each key, at most `most` of a run.

        Returns:
            Index into `keys`, and number, of each entry found.
        """
        indices, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for run_keys, run_numbers in self._runs:
            left = np.searchsorted(run_keys, keys)
            hits = np.flatnonzero(run_keys[np.minimum(left, len(run_keys) - 1)] == keys)
            right = np.searchsorted(run_keys, keys[hits], side="right")
            counts = np.minimum(right - left[hits], most)
            starts = np.repeat(left[hits] - np.cumsum(counts) + counts, counts)
            indices.append(np.repeat(hits, counts))
            numbers.append(run_numbers[starts + np.arange(counts.sum())].astype(np.int64))
        return np.concatenate(indices), np.concatenate(numbers)


def _sorted(keys: NDArray[np.uint64], numbers: NDArray[np.uint32]) -> _Run:
    order = np.argsort(keys, kind="stable")
    return keys[order], numbers[order]

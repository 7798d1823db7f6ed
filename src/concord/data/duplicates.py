"""Exact and near duplicates, found while documents stream past.

An exact duplicate has the same cleaned text as an earlier document. A near duplicate shares, by
the estimate of its MinHash signature, at least `near_threshold` of its windows with an earlier
document that was kept. Candidates are found by locality-sensitive hashing in 16 bands of 8
values (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4): a pair of
similarity 0.8 is seen with probability 0.95, of 0.9 with more than 0.999; each is then checked
on all 128 values, whose standard error is 0.04 at 0.8.

About 450 bytes stay in memory for each document kept, whatever its length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from concord.base.errors import DocumentError
from concord.data.minhash import BINS, signatures
from concord.data.multimap import SortedRuns

BANDS = 16
ROWS = BINS // BANDS
NEAR_THRESHOLD = 0.8
MAX_BUCKET = 32
"""Documents compared per band, so that a formula that all share costs no more than that."""
_SKETCH_BITS = 8
_CHANCE = 2.0**-_SKETCH_BITS
_FLUSH_DOCUMENTS = 4096

_Keys = NDArray[np.uint64]
_Sketches = NDArray[np.uint8]


class Verdict(Enum):
    """What became of a document."""

    NEW = "new"
    EXACT = "exact"
    NEAR = "near"


class DuplicateFilter:
    """Tells for each text whether an earlier one was the same, or nearly so.

    Args:
        near_threshold: Share of common windows (Jaccard index) from which two texts count as one;
            above 1 only exact duplicates are found.

    Raises:
        DocumentError: the threshold is not between 0.5 and 1, nor above 1.
    """

    def __init__(self, near_threshold: float = NEAR_THRESHOLD) -> None:
        if not near_threshold >= 0.5:
            raise DocumentError(
                f"a near-duplicate threshold of {near_threshold}",
                remedy="use 0.5 to 1, or 2 to keep all near duplicates",
            )
        self._near = _NearDuplicates(near_threshold) if near_threshold <= 1 else None
        self._digests: set[bytes] = set()

    def judge(self, texts: Sequence[str]) -> list[Verdict]:
        """Judge cleaned, non-empty texts in their order, a few hundred at a time."""
        verdicts = [self._exact(text) for text in texts]
        new = [index for index, verdict in enumerate(verdicts) if verdict is Verdict.NEW]
        if self._near is not None and new:
            for index, near in zip(new, self._near.find([texts[i] for i in new]), strict=True):
                if near:
                    verdicts[index] = Verdict.NEAR
        return verdicts

    def _exact(self, text: str) -> Verdict:
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        if digest in self._digests:
            return Verdict.EXACT
        self._digests.add(digest)
        return Verdict.NEW


class _NearDuplicates:
    def __init__(self, threshold: float) -> None:
        # Two of the 8-bit values are equal by chance once in 256.
        self._least_equal = (threshold + (1 - threshold) * _CHANCE) * BINS
        self._count = 0
        self._sketches = bytearray()
        self._old = SortedRuns()
        self._recent: dict[int, list[int]] = {}
        self._recent_from = 0

    def find(self, texts: Sequence[str]) -> list[bool]:
        values = signatures(texts)
        keys = _band_keys(values)
        sketches = values.astype(np.uint8)
        near: list[bool] = self._like_old(keys, sketches).tolist()
        for index, row in enumerate(keys.tolist()):
            if near[index]:
                continue
            candidates = sorted({number for key in row for number in self._recent.get(key, ())})
            if candidates and self._similar(sketches[index], np.array(candidates)).any():
                near[index] = True
            else:
                self._remember(row, sketches[index])
        if self._count - self._recent_from >= _FLUSH_DOCUMENTS:
            self._flush()
        return near

    def _like_old(self, keys: _Keys, sketches: _Sketches) -> NDArray[np.bool_]:
        near = np.zeros(len(keys), bool)
        queries, documents = self._old.find(keys.reshape(-1), MAX_BUCKET)
        if queries.size:
            pairs = np.unique(np.stack([queries // BANDS, documents]), axis=1)
            near[pairs[0][self._similar(sketches[pairs[0]], pairs[1])]] = True
        return near

    def _similar(self, sketches: _Sketches, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        stored = np.frombuffer(self._sketches, np.uint8).reshape(-1, BINS)[numbers]
        similar: NDArray[np.bool_] = (stored == sketches).sum(axis=1) >= self._least_equal
        return similar

    def _remember(self, row: list[int], sketch: _Sketches) -> None:
        for key in row:
            bucket = self._recent.setdefault(key, [])
            if len(bucket) < MAX_BUCKET:
                bucket.append(self._count)
        self._sketches += sketch.tobytes()
        self._count += 1

    def _flush(self) -> None:
        """Move what the dictionary holds into sorted arrays, which need a tenth of its memory."""
        pairs = [(key, number) for key, bucket in self._recent.items() for number in bucket]
        self._old.add(
            np.array([key for key, _ in pairs], np.uint64),
            np.array([number for _, number in pairs], np.uint32),
        )
        self._recent = {}
        self._recent_from = self._count


def _band_keys(values: NDArray[np.uint32]) -> _Keys:
    """[texts, BANDS] One 64-bit hash of the values of each band, different from band to band."""
    keys = np.zeros((len(values), BANDS), np.uint64)
    keys += np.arange(BANDS, dtype=np.uint64)
    for column in values.reshape(len(values), BANDS, ROWS).transpose(2, 0, 1):
        keys = (keys ^ column) * np.uint64(0xFF51AFD7ED558CCD)
        keys ^= keys >> np.uint64(32)
    return keys

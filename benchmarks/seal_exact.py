"""Sealed sums against plain sums: many random sets of drop-outs, and large cohorts.

    python benchmarks/seal_exact.py [--cases 10000] [--values 1000]

Each case draws a cohort size, a ring, a masking set, a survivor set and who of it answers; one
wrong value anywhere ends the run. Prints how many cases of each size were right.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter

import numpy as np

from concord.crypto.seal import (
    Cohort,
    IndexSet,
    Instance,
    Ring,
    make_setup,
    mask,
    mask_keys,
    open_instance,
    receive_shares,
    unmask,
)

SIZES = (3, 5, 8, 16, 32)
LARGE = (64, 200)


class Bench:
    """One cohort that is set up for one instance, and cases on it."""

    def __init__(self, size: int) -> None:
        self.cohort = Cohort(tuple(f"m{i:03}" for i in range(size)), 3)
        part = [bytes([number]) * 32 for number in range(4)]
        self.instance = Instance(part[0], 1, 0, 0, part[1], part[2], part[3], self.cohort.digest)
        self.keys: list[dict[int, bytes]] = [{} for _ in range(size)]
        for i in range(size):
            for j in range(i):
                self.keys[i][j] = self.keys[j][i] = os.urandom(32)
        self.own = {
            i: make_setup(self.instance, self.cohort, i, self.keys[i], os.urandom)
            for i in range(size)
        }
        self.setups = {i: own.public for i, own in self.own.items()}
        self.held = {i: receive_shares(self.own[i], self.keys[i], self.setups) for i in self.own}

    def case(self, bits: int, values: int, rng: np.random.Generator) -> bool:
        """Whether the sealed sum of a random case is the plain one."""
        size, ring = self.cohort.size, Ring(bits, self.cohort.size)
        masked = subset(range(size), self.cohort.least, rng)
        survivors = subset(masked.indices, self.cohort.least, rng)
        answering = subset(survivors.indices, self.cohort.threshold, rng)
        total, vectors = np.zeros(values, np.int64), {}
        for i in survivors.indices:
            plain = rng.integers(-ring.largest, ring.largest + 1, values + 64, dtype=np.int64)
            plain[-64:] = 0
            total += plain[:-64]
            keys = mask_keys(self.instance, self.cohort, self.own[i], self.keys[i], masked)
            vectors[i] = mask(plain.astype(ring.signed), ring, keys)
        answers = [
            unmask(self.instance, i, self.held[i], masked, survivors) for i in answering.indices
        ]
        opening = open_instance(self.instance, self.cohort, self.setups, masked, survivors, answers)
        return bool((opening.sum(vectors, ring) == total).all())


def subset(among: range | tuple[int, ...], least: int, rng: np.random.Generator) -> IndexSet:
    count = int(rng.integers(least, len(among) + 1))
    return IndexSet.of(rng.choice(among, count, replace=False).tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--values", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    start, right = time.process_time(), Counter[int]()
    benches = {size: Bench(size) for size in SIZES}
    for number in range(options.cases):
        # Small cohorts are cheap and have the most drop-outs in proportion: half of all cases.
        size = int(rng.choice(SIZES, p=[0.2, 0.3, 0.3, 0.15, 0.05]))
        if not benches[size].case(16 if number % 2 else 32, options.values, rng):
            raise SystemExit(f"case {number}: {size} members, a wrong sum")
        right[size] += 1
    for size in LARGE:
        bench = Bench(size)
        for bits in (16, 32):
            if not bench.case(bits, options.values, rng):
                raise SystemExit(f"{size} members, {bits} bits: a wrong sum")
            right[size] += 1
    shown = ", ".join(f"{count} of {size}" for size, count in sorted(right.items()))
    print(f"{right.total():,} sums exact, by members: {shown}")
    print(f"{time.process_time() - start:.0f} s of one core")


if __name__ == "__main__":
    main()

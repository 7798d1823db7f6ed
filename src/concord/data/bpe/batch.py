"""Which merges one exchange may hold, so that making them together is making them one by one.

Symbols have numbers, in the order in which they came to be. Pairs are ranked by count, highest
first, then by the number of the left, then of the right symbol, lowest first. One-by-one training
merges the first of the ranking, counts anew, and so on.

Theorem. Let p1, p2, … be the ranking of exact counts, and k the largest number such that among
p1 … pk no right symbol of one is the left symbol of another, and none but pk is a symbol twice.
Then one-by-one training merges p1, …, pk in turn, and merging them at once gives the same text.

Proof. Let p1 … p(j-1) be merged and pj = (c, d) be next in the ranking, with stale count n.

1. The count of pj still is n. An occurrence of (c, d) ends only if a merge of (a, b) takes its c
   or its d: c as the right symbol (c = b, excluded), d as the left symbol (d = a, excluded), or
   both at once (then it is the same pair). None is added, since every new adjacency has a new
   symbol in it.
2. Other old pairs rank behind pj: those that ranked before are merged and occur no more; those
   behind keep or lower their counts.
3. New pairs rank behind pj. Let N be the symbol of a merged (a, b), and a ≠ b.
   (x, N), x old, stands where (x, a) stood, so its count is at most that of (x, a) before. (x, a)
   does not rank before pj, nor is it pj: it would be among p1 … pj and its right symbol the left
   one of (a, b). So it has at most n, and where it has n it ranks behind pj: x > c, or x = c and
   a > d. Then (x, N) ranks behind pj, too, as N > d. (N, y), y old or new, stands where (b, …)
   stood, and ranks behind pj by the same argument; with equal counts because N > c.
4. Merges at once: two occurrences share a symbol only if it is right in one and left in the
   other, which is excluded but within pairs of a symbol twice; there every second one is taken,
   from the left, in each run.

The theorem holds for the counts of any group of texts while merges are made in all of them, if
those that other groups asked for are in the list of symbols to keep clear of: in 1 and 3 only
ranks within the group are used. So parity mode batches exactly as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from concord.data.bpe.chains import Pair

MAX_BATCH = 64
"""Merges in one exchange, at most."""


class Batch:
    """Merges chosen so far for one exchange."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self._left: set[int] = set()
        self._right: set[int] = set()
        self._closed = False

    def admits(self, pair: Pair) -> bool:
        """Whether `pair`, the next of its ranking, may join."""
        left, right = pair
        full = self._closed or len(self.pairs) == MAX_BATCH
        return not (full or left in self._right or right in self._left)

    def add(self, pair: Pair) -> None:
        """Join a pair that the batch admits."""
        self.pairs.append(pair)
        self._left.add(pair[0])
        self._right.add(pair[1])
        self._closed = pair[0] == pair[1]


def overlaps(pairs: Iterable[Pair]) -> bool:
    """Whether these merges, made at once, could differ from making them in turn.

    True also where they are more than `MAX_BATCH`, or one is named twice.
    """
    batch = Batch()
    for pair in pairs:
        if pair in batch.pairs or not batch.admits(pair):
            return True
        batch.add(pair)
    return False

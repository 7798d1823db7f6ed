"""Sums of integers into the mean of the updates, the same bits on every machine.

    mean_T = c_T w_max S_T / (Q D),   S_T = sum of q over the survivors of all cohorts
    D      = max(sum of survivors' weights, largest weight of one owner among them / cap)

D keeps an owner at its cap when others drop out: the mean shrinks instead of leaning. S_T is
exact; the factor is an exact fraction, rounded once to float64; the product is rounded once to
float64 and once to float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from concord.base.errors import DocumentError, UpdateError
from concord.base.tensors import FloatArray
from concord.crypto.seal.ring import CHECK_ELEMENTS, SignedArray
from concord.update.integer.scales import ScaleTable


def mean_divisor(
    weights: Mapping[str, Fraction], *, owners: Mapping[str, str], cap: Fraction
) -> Fraction:
    """D, from the charter weights of the survivors.

    Args:
        owners: Legal owner of each; one that is missing or empty is its own owner.
        cap: Largest share of one owner, in (0, 1].

    Raises:
        DocumentError: nobody survived, or a weight or the cap is out of range.
    """
    if not weights or not 0 < cap <= 1 or min(weights.values()) <= 0:
        raise DocumentError("there is nobody to weigh, or a weight or the cap is out of range")
    held: dict[str, Fraction] = {}
    for member, weight in weights.items():
        owner = owners.get(member) or member
        held[owner] = held.get(owner, Fraction(0)) + weight
    return max(sum(held.values(), Fraction(0)), max(held.values()) / cap)


def mean_tensors(
    sums: Sequence[SignedArray],
    table: ScaleTable,
    *,
    largest_weight: Fraction,
    divisor: Fraction,
) -> Iterator[tuple[str, FloatArray]]:
    """The mean, tensor by tensor in the order of names.

    Args:
        sums: Sum of each cohort, check elements left out.
        divisor: `mean_divisor` over the survivors of all cohorts.

    Raises:
        UpdateError: a sum has another length than the table says, or there is none.
    """
    count = table.count - CHECK_ELEMENTS
    if not sums or any(one.shape != (count,) for one in sums):
        raise UpdateError(f"a sum does not have {count:,} values")
    for scale, start in zip(table.tensors, table.starts, strict=True):
        total = np.zeros(scale.size, np.int64)
        for one in sums:
            total += one[start : start + scale.size]
        factor = Fraction(scale.clip) * largest_weight / (table.ring.largest * divisor)
        yield scale.name, (total.astype(np.float64) * float(factor)).astype(np.float32)

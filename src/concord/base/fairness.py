"""How evenly a cost falls on languages: premium over the cheapest, Gini coefficient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def premiums(tokens: Mapping[str, int]) -> dict[str, float]:
    """Tokens of each language for the same sentences, over those of the cheapest; 1 is the best.

    Args:
        tokens: Of at least one language, each above 0.
    """
    fewest = min(tokens.values())
    return {language: count / fewest for language, count in tokens.items()}


def gini(values: Iterable[float]) -> float:
    """Gini coefficient of values >= 0: 0 when all are equal, towards 1 when one has all.

    Source: mean absolute difference form, sum_i (2i - n - 1) x_i / (n sum x), x ascending.
    """
    ordered = sorted(values)
    total = sum(ordered)
    if not total:
        return 0.0
    count = len(ordered)
    weighted = sum((2 * rank - count - 1) * value for rank, value in enumerate(ordered, start=1))
    return weighted / (count * total)

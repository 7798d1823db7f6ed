"""Premium and Gini: known cases, and the definition as a mean absolute difference."""

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.fairness import gini, premiums


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 1, 1], 0.0), ([0, 0, 0, 1], 0.75), ([1, 2, 3, 4], 0.25), ([5], 0.0)],
)
def test_gini_of_known_cases(values, expected):
    assert gini(values) == pytest.approx(expected)


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=20))
def test_gini_is_half_the_relative_mean_difference(values):
    mean = fmean(values)
    difference = fmean(abs(a - b) for a in values for b in values)
    expected = difference / (2 * mean) if sum(values) else 0.0
    assert gini(values) == pytest.approx(expected, abs=1e-9)


def test_gini_of_one_owner_of_everything_nears_one():
    assert gini([0] * 99 + [1]) == pytest.approx(0.99)
    assert gini([0, 0]) == 0


def test_a_premium_is_what_a_language_pays_over_the_cheapest():
    assert premiums({"am": 30, "pt": 20, "th": 25}) == {"am": 1.5, "pt": 1.0, "th": 1.25}

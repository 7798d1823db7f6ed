"""The bound on ε from one run, held against another implementation and published values."""

import math

import numpy as np
import pytest
from scipy import stats

from concord.train.audit.one_run import epsilon_one_run, epsilon_refuted, p_value

# jax-privacy 2.0.0, `jax_privacy.auditing._epsilon_one_run` of the same arguments.
JAX_PRIVACY = [
    (500, 250, 250, 0.05, 1e-5, 4.40477),
    (500, 500, 500, 0.05, 1e-5, 5.101),
    (500, 500, 500, 0.01, 1e-5, 4.65234),
    (1000, 400, 300, 0.05, 1e-5, 0.90351),
    (200, 200, 150, 0.05, 1e-6, 0.82137),
    (64, 60, 55, 0.05, 1e-5, 1.60465),
    (100, 100, 50, 0.05, 1e-5, 0.0),
    (2000, 1000, 900, 0.05, 1e-3, 1.67478),
    (5000, 2500, 2500, 0.01, 1e-5, 5.86652),
]


@pytest.mark.parametrize(("m", "guesses", "right", "significance", "delta", "epsilon"), JAX_PRIVACY)
def test_another_implementation_finds_the_same(m, guesses, right, significance, delta, epsilon):
    found = epsilon_refuted(m, guesses, right, significance=significance, delta=delta)
    assert found == pytest.approx(epsilon, abs=2e-4)


def test_its_chance_is_that_of_another_implementation():
    # jax_privacy.auditing._one_run_p_value of the same arguments.
    assert p_value(200, 100, 80, 1.0, 1e-4) == pytest.approx(0.074461985, abs=1e-8)
    assert p_value(1000, 400, 300, 0.7, 1e-5) == pytest.approx(0.0006404, abs=1e-7)


@pytest.mark.parametrize(("m", "published"), [(500, 4.1), (1000, 4.8), (2000, 5.4), (5000, 6.2)])
def test_a_perfect_attack_shows_no_more_than_is_published(m, published):
    """jax-privacy guesses "in" only, and divides the significance by three thresholds."""
    found = epsilon_refuted(m, m // 2, m // 2, significance=0.05 / 3, delta=1e-5)
    assert found == pytest.approx(published, abs=0.06)


def test_without_delta_it_is_a_binomial_tail():
    chance = stats.binom.sf(69, 100, 1 / (1 + math.exp(-0.4)))
    assert p_value(100, 100, 70, 0.4, 0.0) == pytest.approx(chance, rel=1e-9)


def test_a_perfect_attack_is_found_and_an_empty_one_is_not():
    high, low = np.linspace(2, 3, 250), np.linspace(0, 1, 250)
    assert epsilon_one_run(high, low) > 4.0
    assert epsilon_one_run(low, high) == 0.0
    assert epsilon_one_run([], []) == 0.0


def test_scores_that_are_all_equal_show_nothing():
    assert epsilon_one_run(np.zeros(200), np.zeros(200)) == 0.0


def test_randomised_response_is_hardly_ever_said_to_be_worse_than_it_is():
    """A mechanism that is exactly ε-private: the bound is above ε in 5 % of the runs at most."""
    draw, epsilon = np.random.default_rng(0), 1.0
    above, found = 0, []
    for _ in range(100):
        coins = draw.random(300) < 0.5
        told = np.where(draw.random(300) < 1 / (1 + math.exp(-epsilon)), coins, ~coins)
        scores = told + 0.01 * draw.random(300)
        bound = epsilon_one_run(scores[coins], scores[~coins])
        above += bound > epsilon
        found.append(bound)
    assert above <= 5
    assert np.median(found) > 0.4  # and it is no empty bound

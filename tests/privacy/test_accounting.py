"""The budget's arithmetic, held against closed forms, the RDP accountant and published figures."""

import math
import subprocess
import sys

import dp_accounting
import pytest
from dp_accounting import rdp

from concord.train.private.accounting import (
    SampledNoise,
    after,
    epsilon,
    gaussian_delta,
    noise_for,
    noise_for_everybody,
    noise_to_signal,
)


def test_nothing_spent_is_zero_and_no_noise_is_no_privacy():
    assert epsilon({}, 1e-6) == 0
    assert epsilon({SampledNoise(1.0, 0.1): 0}, 1e-6) == 0
    assert epsilon({SampledNoise(0.0, 0.1): 1}, 1e-6) == math.inf


@pytest.mark.parametrize(("noise", "steps"), [(1.0, 1), (4.0, 10), (20.0, 400)])
def test_without_sampling_it_is_the_closed_form_of_the_gaussian(noise, steps):
    found = epsilon({SampledNoise(noise, 1.0): steps}, 1e-5)
    # Rounded up, by the grid once for each step at most and by much less in fact.
    assert gaussian_delta(found, noise, steps) <= 1e-5
    assert gaussian_delta(found - 0.02, noise, steps) > 1e-5


@pytest.mark.parametrize(
    ("noise", "rate", "steps"), [(1.0, 0.01, 1000), (0.8, 0.005, 300), (3.0, 0.2, 50)]
)
def test_it_is_below_the_renyi_bound_and_near_it(noise, rate, steps):
    found = epsilon({SampledNoise(noise, rate): steps}, 1e-6)
    event = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(noise))
    accountant = rdp.RdpAccountant(orders=range(2, 200))
    bound = accountant.compose(dp_accounting.SelfComposedDpEvent(event, steps)).get_epsilon(1e-6)
    assert 0.6 * bound < found <= bound


def test_steps_add_up_in_any_portions():
    how = SampledNoise(1.1, 0.02)
    whole = epsilon({how: 60}, 1e-6)
    assert epsilon(after(after({}, how, 25), how, 35), 1e-6) == whole
    assert epsilon(after({how: 60}, SampledNoise(2.0, 0.02), 1), 1e-6) > whole


def test_the_noise_found_just_fits_the_budget():
    noise = noise_for(4.0, 1e-6, sampling_rate=0.02, steps=500)
    assert 3.95 < epsilon({SampledNoise(noise, 0.02): 500}, 1e-6) <= 4.0


def test_hiding_a_member_needs_the_noise_of_the_published_figures():
    """500 rounds, δ 1e-5: z 44.6, 13.4 and 4.6 for ε 2, 8 and 32; the library agrees."""
    found = [noise_for_everybody(budget, 1e-5, steps=500) for budget in (2, 8, 32)]
    assert found == pytest.approx([44.6, 13.4, 4.6], abs=0.06)
    spent = [epsilon({SampledNoise(z, 1.0): 500}, 1e-5) for z in found]
    assert spent == pytest.approx([2, 8, 32], abs=0.02)
    parameters = 10**9
    ratios = [noise_to_signal(found[1], parameters=parameters, documents=n) for n in (10, 50, 200)]
    assert ratios == pytest.approx([42_000, 8_500, 2_100], rel=0.02)


def test_a_missing_library_is_told_with_its_remedy():
    program = (
        "import sys; sys.modules['dp_accounting'] = None\n"
        "from concord.train.private.accounting import SampledNoise, epsilon\n"
        "try: epsilon({SampledNoise(1.0, 0.1): 1}, 1e-6)\n"
        "except Exception as e: print(type(e).__name__, e)\n"
    )
    made = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert made.stdout.startswith("DocumentError") and "concord[privacy]" in made.stdout

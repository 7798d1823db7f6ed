"""The outer step: published vector, reference implementations, purity."""

import numpy as np
import pytest
import torch

from concord.base.errors import DocumentError
from concord.base.tensors import TensorSpec
from concord.update.outer import OuterRule, outer_step


def run(rule, gradients, theta, rate):
    state, thetas = {}, []
    for gradient in gradients:
        step, state = outer_step(rule, gradient, state, rate=rate)
        theta = theta - step
        thetas.append(theta)
    return thetas


def test_nesterov_walks_the_published_path():
    half = np.full(1, 0.5, np.float32)
    thetas = run(OuterRule(momentum=0.9), [half] * 3, np.ones(1, np.float32), 0.7)
    assert [float(t[0]) for t in thetas] == pytest.approx([0.335, -0.6135, -1.81715], rel=1e-6)


def reference(optimizer_of, gradients, theta):
    parameter = torch.nn.Parameter(torch.tensor(theta))
    optimizer, thetas = optimizer_of([parameter]), []
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        thetas.append(parameter.detach().numpy().copy())
    return thetas


GRADIENTS = [np.random.default_rng(i).normal(size=(5, 7)).astype(np.float32) for i in range(6)]
THETA = np.random.default_rng(9).normal(size=(5, 7)).astype(np.float32)


def test_nesterov_agrees_with_torch():
    expected = reference(
        lambda p: torch.optim.SGD(p, lr=0.7, momentum=0.9, nesterov=True), GRADIENTS, THETA
    )
    for ours, theirs in zip(
        run(OuterRule(momentum=0.9), GRADIENTS, THETA, 0.7), expected, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_adam_agrees_with_torch():
    expected = reference(
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.9, 0.95)), GRADIENTS, THETA
    )
    for ours, theirs in zip(run(OuterRule("adam"), GRADIENTS, THETA, 0.01), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_without_momentum_the_step_is_rate_times_update_and_nothing_is_kept():
    step, state = outer_step(OuterRule(), GRADIENTS[0], {}, rate=2.0)
    np.testing.assert_array_equal(step, GRADIENTS[0] * np.float32(2))
    assert state == {}


def test_momentum_counts_its_published_total_effect():
    """One update moves the base by eta (1 - mu^(n+2))/(1 - mu) after n more rounds."""
    zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    thetas = run(OuterRule(momentum=0.9), [one] + [zero] * 5, zero, 0.7)
    assert -float(thetas[-1][0]) == pytest.approx(0.7 * (1 - 0.9**7) / 0.1, rel=1e-6)


@pytest.mark.parametrize("rule", [OuterRule(), OuterRule(momentum=0.5), OuterRule("adam")])
def test_state_has_the_declared_tensors_and_inputs_stay_as_they_were(rule):
    gradient = GRADIENTS[0].copy()
    _, state = outer_step(rule, gradient, {}, rate=1.0)
    kept = {name: array.copy() for name, array in state.items()}
    outer_step(rule, gradient, state, rate=1.0)
    specs = rule.state_specs(TensorSpec("w", gradient.shape))
    assert {spec.name: spec.shape for spec in specs} == {n: a.shape for n, a in state.items()}
    np.testing.assert_array_equal(gradient, GRADIENTS[0])
    for name, array in kept.items():
        np.testing.assert_array_equal(state[name], array)


@pytest.mark.parametrize(
    "wrong", [{"momentum": 1.0}, {"beta1": -0.1}, {"beta2": 1.0}, {"epsilon": 0.0}]
)
def test_impossible_constants_are_refused(wrong):
    with pytest.raises(DocumentError):
        OuterRule(**wrong)

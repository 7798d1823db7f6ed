"""Muon against the formula in numpy and against torch's own."""

import numpy as np
import pytest
import torch

from concord.train.muon import StackedMuon, orthogonalise

SHAPES = [(16, 16), (16, 16), (8, 24), (24, 8)]


def formula(update):
    """The method as published, in float64."""
    x = update / (np.linalg.norm(update) + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


def formula_step(weight, buffer, gradient, *, lr, decay, momentum):
    """Momentum is summed here, averaged in ours."""
    buffer = momentum * buffer + gradient
    direction = formula(gradient + momentum * buffer)
    scale = 0.2 * max(weight.shape) ** 0.5
    return (1 - lr * decay) * weight - lr * scale * direction, buffer


def parameters(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def gradients(step):
    generator = torch.Generator().manual_seed(100 + step)
    return [0.01 * torch.randn(shape, generator=generator) for shape in SHAPES]


@pytest.mark.parametrize("shape", [(16, 16), (8, 24), (24, 8), (1, 5)])
def test_orthogonalising_a_stack_follows_the_formula(shape):
    stack = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    found = orthogonalise(stack)
    for one, update in zip(found, stack, strict=True):
        np.testing.assert_allclose(one.numpy(), formula(update.double().numpy()), atol=2e-5)


def test_a_gradient_of_zero_stays_zero():
    assert (orthogonalise(torch.zeros(1, 4, 4)) == 0).all()


def test_steps_follow_the_formula():
    ours = parameters(0)
    start = [p.detach().double().numpy() for p in ours]
    optimizer = StackedMuon(ours, lr=0.02, weight_decay=0.1, momentum=0.9)
    weights = [p.detach().double().numpy() for p in ours]
    buffers = [np.zeros(shape) for shape in SHAPES]
    for step in range(4):
        for index, gradient in enumerate(gradients(step)):
            ours[index].grad = gradient
            weights[index], buffers[index] = formula_step(
                weights[index],
                buffers[index],
                gradient.double().numpy(),
                lr=0.02,
                decay=0.1,
                momentum=0.9,
            )
        optimizer.step()
    for parameter, weight, before in zip(ours, weights, start, strict=True):
        error = np.linalg.norm(parameter.detach().numpy() - weight)
        assert error < 0.03 * np.linalg.norm(weight - before)  # bfloat16: eight bits of mantissa


def test_steps_stay_close_to_torchs_muon():
    ours, theirs = parameters(0), parameters(0)
    settings = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.95}
    one = StackedMuon(ours, **settings)
    two = torch.optim.Muon(theirs, adjust_lr_fn="match_rms_adamw", **settings)
    start = [p.detach().clone() for p in ours]
    for step in range(3):
        for index, gradient in enumerate(gradients(step)):
            ours[index].grad, theirs[index].grad = gradient.clone(), gradient.clone()
        one.step()
        two.step()
    for a, b, before in zip(ours, theirs, start, strict=True):
        assert (a - b).norm() < 0.03 * (b - before).norm()
        torch.testing.assert_close(one.state[a]["momentum_buffer"], two.state[b]["momentum_buffer"])


def test_one_step_moves_every_direction_by_about_the_rate():
    parameter = torch.nn.Parameter(torch.zeros(16, 16))
    optimizer = StackedMuon([parameter], lr=0.02, weight_decay=0.0, momentum=0.95)
    parameter.grad = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    values = torch.linalg.svdvals(parameter.detach()) / (0.02 * 0.2 * 4)
    assert values.max() < 1.3
    assert values.median() == pytest.approx(1.0, abs=0.3)

"""Muon against the formula in numpy and against torch's own."""

import numpy as np
import pytest
import torch

from concord.train.muon import StackedMuon

SHAPES = [(16, 16), (16, 16), (8, 24), (24, 8)]


def formula_step(weight, buffer, gradient, *, lr, decay, momentum):
    """Momentum summed, float64: the method as published."""
    buffer = momentum * buffer + gradient
    x = gradient + momentum * buffer
    x = x / (np.linalg.norm(x) + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    x = x.T if tall else x
    scale = max(1, weight.shape[0] / weight.shape[1]) ** 0.5
    return (1 - lr * decay) * weight - lr * scale * x, buffer


def parameters(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def gradients(step):
    generator = torch.Generator().manual_seed(100 + step)
    return [0.01 * torch.randn(shape, generator=generator) for shape in SHAPES]


def test_float32_steps_follow_the_formula():
    ours = parameters(0)
    optimizer = StackedMuon(ours, lr=0.02, weight_decay=0.1, momentum=0.9, low_precision=False)
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
    for parameter, weight in zip(ours, weights, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), weight, atol=2e-5)


def test_bfloat16_steps_stay_close_to_torchs_muon():
    ours, theirs = parameters(0), parameters(0)
    settings = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.95}
    one = StackedMuon(ours, low_precision=True, **settings)
    two = torch.optim.Muon(theirs, **settings)
    start = [p.detach().clone() for p in ours]
    for step in range(3):
        for index, gradient in enumerate(gradients(step)):
            ours[index].grad, theirs[index].grad = gradient.clone(), gradient.clone()
        one.step()
        two.step()
    for a, b, before in zip(ours, theirs, start, strict=True):
        assert (a - b).norm() < 0.03 * (b - before).norm()  # eight bits of mantissa
        torch.testing.assert_close(one.state[a]["momentum_buffer"], two.state[b]["momentum_buffer"])


def test_one_step_moves_every_direction_by_about_the_rate():
    parameter = torch.nn.Parameter(torch.zeros(16, 16))
    optimizer = StackedMuon(
        [parameter], lr=0.02, weight_decay=0.0, momentum=0.95, low_precision=False
    )
    parameter.grad = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    values = torch.linalg.svdvals(parameter.detach()) / 0.02
    assert values.max() < 1.3
    assert values.median() == pytest.approx(1.0, abs=0.3)

"""The fused loss against the formula written out."""

import pytest
import torch

from concord.train.loss import cross_entropy


def direct(logits, targets, weights, z):
    log_z = torch.logsumexp(logits, 1)
    nll = log_z - logits.gather(1, targets[:, None]).squeeze(1)
    return (weights * nll).sum() + z * (weights * log_z**2).sum(), (weights * nll).sum()


@pytest.mark.parametrize("rows", [1, 64, 150])
@pytest.mark.parametrize("z", [0.0, 1e-4, 0.1])
def test_value_and_gradient_are_those_of_the_formula(rows, z):
    generator = torch.Generator().manual_seed(rows)
    logits = (5 * torch.randn(rows, 37, generator=generator)).requires_grad_()
    targets = torch.randint(0, 37, (rows,), generator=generator)
    weights = torch.rand(rows, generator=generator) / rows
    loss, entropy = cross_entropy(logits, targets, weights, z_loss=z)
    loss.backward()
    twin = logits.detach().double().requires_grad_()
    expected, expected_entropy = direct(twin, targets, weights.double(), z)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert entropy.item() == pytest.approx(expected_entropy.item(), rel=1e-5)
    torch.testing.assert_close(logits.grad.double(), twin.grad, rtol=1e-4, atol=1e-7)


def test_without_z_loss_it_is_torchs_cross_entropy():
    logits, targets = torch.randn(20, 9), torch.randint(0, 9, (20,))
    loss, _ = cross_entropy(logits, targets, torch.full((20,), 1 / 20))
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, targets))


def test_a_weight_of_zero_leaves_a_target_out():
    logits = torch.randn(4, 9, requires_grad=True)
    cross_entropy(logits, torch.zeros(4, dtype=torch.int64), torch.tensor([1.0, 0, 1, 0]))[
        0
    ].backward()
    assert (logits.grad[1] == 0).all() and (logits.grad[3] == 0).all()
    assert (logits.grad[0] != 0).any()


def test_a_banned_token_has_no_probability_and_no_gradient():
    bias = torch.zeros(9)
    bias[5] = -torch.inf
    logits = torch.randn(3, 9, requires_grad=True)
    loss, _ = cross_entropy(logits, torch.tensor([0, 1, 2]), torch.ones(3) / 3, bias=bias)
    loss.backward()
    rest = [index for index in range(9) if index != 5]
    expected = torch.nn.functional.cross_entropy(logits[:, rest], torch.tensor([0, 1, 2]))
    torch.testing.assert_close(loss, expected)
    assert (logits.grad[:, 5] == 0).all()


def test_logits_are_left_as_they_were_and_large_ones_do_not_overflow():
    logits = torch.tensor([[1000.0, 999.0]], requires_grad=True)
    loss, _ = cross_entropy(logits, torch.tensor([0]), torch.ones(1))
    assert loss.item() == pytest.approx(0.31326, abs=1e-4)  # ln(1 + 1/e)
    assert logits.tolist() == [[1000.0, 999.0]]


def test_bfloat16_logits_are_summed_in_float32():
    logits = torch.zeros(1, 4096, dtype=torch.bfloat16)
    loss, _ = cross_entropy(logits, torch.tensor([0]), torch.ones(1))
    assert loss.item() == pytest.approx(8.31777, abs=1e-4)  # ln 4096

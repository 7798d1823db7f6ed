"""The inner optimiser and the state that travels."""

import numpy as np
import pytest
import torch
from trainlab import VOCABULARY, batches, tiny_model, trainer

from concord.base.errors import CheckpointError
from concord.charter.run_sections import InnerSpec
from concord.charter.schedule import rate_factor
from concord.model.tensors import read_tensors
from concord.train.optimizers import InnerOptimizer
from concord.train.shared_state import SharedState


def test_adamw_steps_are_torchs_at_the_scheduled_rate():
    inner = InnerSpec(optimizer="adamw", lr=1e-2, weight_decay=0.1, warmup_steps=3)
    ours, theirs = tiny_model(), tiny_model()
    optimizer = InnerOptimizer(ours, inner)
    decayed = [p for p in theirs.parameters() if p.ndim == 2]
    others = [p for p in theirs.parameters() if p.ndim < 2]
    reference = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        betas=(inner.beta1, inner.beta2),
    )
    for step in range(6):
        generator = torch.Generator().manual_seed(step)
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        factor = rate_factor(inner, step, 10)
        optimizer.step(step, rate_factor=factor)
        for group in reference.param_groups:
            group["lr"] = 1e-2 * factor
        reference.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_muon_is_for_body_matrices_and_adamw_for_the_rest():
    names = [spec.name for spec in InnerOptimizer(tiny_model(), InnerSpec()).state_specs()]
    assert "momentum/model.layers.0.mlp.up_proj.weight" in names
    assert "second_moment/model.embed_tokens.weight" in names
    assert "second_moment/model.norm.weight" in names
    assert "momentum/model.embed_tokens.weight" not in names
    assert names == sorted(names)


def test_norms_are_not_decayed():
    model = tiny_model()
    optimizer = InnerOptimizer(model, InnerSpec(weight_decay=0.5, lr=0.1, matrix_lr=0.1))
    before = model.model.embed_tokens.weight.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(0, rate_factor=1.0)
    assert (model.model.norm.weight == 1).all()
    torch.testing.assert_close(model.model.embed_tokens.weight.detach(), 0.95 * before)


def test_bias_correction_follows_the_global_step_after_moments_were_averaged():
    one = trainer(optimizer="adamw", lr=1e-2)
    one.run(batches, first_step=0, count=10)
    newcomer = trainer(tiny_model(), optimizer="adamw", lr=1e-2)
    newcomer.model.load_state_dict(one.model.state_dict())
    newcomer.optimizer.load_state(one.optimizer.read_state())
    for each in (one, newcomer):
        each.run(batches, first_step=10, count=3)
    for a, b in zip(one.model.parameters(), newcomer.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        ("local", set()),
        ("averaged", {"momentum", "first_moment", "second_moment"}),
        ("second_moment", {"second_moment"}),
        ("second_moment_rows", {"second_moment"}),
    ],
)
def test_each_mode_sends_what_it_says(mode, kinds):
    shared = SharedState(trainer().optimizer, mode)
    assert {spec.name.partition("/")[0] for spec in shared.specs()} == kinds
    sent = shared.read()
    assert [(spec.name, spec.shape) for spec in shared.specs()] == [
        (name, array.shape) for name, array in sent.items()
    ]


def test_the_mean_replaces_what_travels_and_leaves_the_rest():
    member = trainer()
    member.run(batches, first_step=0, count=3)
    before = member.optimizer.read_state()
    shared = SharedState(member.optimizer, "second_moment")
    shared.load({name: array + 1 for name, array in shared.read().items()})
    for name, array in member.optimizer.read_state().items():
        expected = before[name] + 1 if name.startswith("second_moment/") else before[name]
        np.testing.assert_array_equal(array, expected)


def test_row_means_are_one_number_per_row_and_replace_the_row():
    member = trainer()
    member.run(batches, first_step=0, count=3)
    before = member.optimizer.read_state()
    shared = SharedState(member.optimizer, "second_moment_rows")
    sent = shared.read()
    embedding = "model.embed_tokens.weight"
    np.testing.assert_allclose(
        sent[f"second_moment/rows/{embedding}"],
        before[f"second_moment/{embedding}"].mean(axis=1),
        rtol=1e-6,
    )
    norm = "second_moment/model.norm.weight"
    np.testing.assert_array_equal(sent[norm], before[norm])
    shared.load({name: array + 1 for name, array in sent.items()})
    after = member.optimizer.read_state()
    rows = sent[f"second_moment/rows/{embedding}"] + 1
    np.testing.assert_array_equal(
        after[f"second_moment/{embedding}"], np.broadcast_to(rows[:, None], (VOCABULARY, 32))
    )
    for name in after:
        if not name.startswith("second_moment/"):
            np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.parametrize("mode", ["averaged", "second_moment", "second_moment_rows"])
def test_a_second_moment_rounded_to_zero_on_the_way_does_not_unbound_the_step(mode):
    member = trainer(optimizer="adamw", lr=1e-3, warmup_steps=0, decay_share=0.0)
    member.run(batches, first_step=0, count=20)
    shared = SharedState(member.optimizer, mode)
    zeroed = {
        name: np.zeros_like(array) if name.startswith("second_moment/") else array
        for name, array in shared.read().items()
    }
    shared.load(zeroed)
    before = read_tensors(member.model)
    member.run(batches, first_step=20, count=1)
    after = read_tensors(member.model)
    assert max(np.abs(after[name] - before[name]).max() for name in after) < 2e-3  # twice the rate


@pytest.mark.parametrize("mode", ["averaged", "second_moment_rows"])
def test_shared_state_of_another_network_is_refused(mode):
    shared = SharedState(trainer().optimizer, mode)
    mean = shared.read()
    mean.pop(next(iter(mean)))
    with pytest.raises(CheckpointError, match="shared state"):
        shared.load(mean)


@pytest.mark.parametrize("fault", ["unknown", "shape", "negative", "nan"])
def test_impossible_state_is_refused_and_nothing_changes(fault):
    member = trainer()
    member.run(batches, first_step=0, count=2)
    before = member.optimizer.read_state()
    state = {name: array.copy() for name, array in before.items()}
    name = "second_moment/model.norm.weight"
    if fault == "unknown":
        state["momentum/elsewhere"] = np.zeros(3, np.float32)
    elif fault == "shape":
        state[name] = np.zeros(31, np.float32)
    else:
        state[name][0] = -1 if fault == "negative" else np.nan
    with pytest.raises(CheckpointError, match="optimiser state"):
        member.optimizer.load_state(state)
    after = member.optimizer.read_state()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_reset_forgets_everything():
    member = trainer()
    member.run(batches, first_step=0, count=2)
    member.optimizer.reset()
    assert not any(array.any() for array in member.optimizer.read_state().values())

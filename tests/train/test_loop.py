"""The inner loop: it learns, repeats itself exactly, stops when told, and fails with words."""

import numpy as np
import pytest
import torch
from trainlab import END, VOCABULARY, batches, tiny_model, trainer

from concord.base.errors import DocumentError, TrainingDiverged
from concord.charter.run_sections import InnerSpec
from concord.model.tensors import load_tensors, parameter_count, read_tensors
from concord.train.loop import LocalTrainer


def weights_after(member, **options):
    member.run(batches, **options)
    return read_tensors(member.model)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_loss_falls(optimizer, precision):
    member = trainer(optimizer=optimizer, precision=precision, lr=1e-2)
    stats = member.run(batches, first_step=0, count=40)
    assert stats.losses[0] == pytest.approx(np.log(VOCABULARY), abs=0.1)
    assert np.mean(stats.losses[-5:]) < 0.6 * stats.losses[0]


def test_the_same_start_and_batches_give_the_same_bits():
    first = weights_after(trainer(precision="bf16"), first_step=0, count=5)
    second = weights_after(trainer(precision="bf16"), first_step=0, count=5)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_steps_follow_a_plain_loop_with_torchs_optimisers():
    member = trainer(z_loss=0.0, clip_norm=1e9, warmup_steps=0, decay_share=0.0)
    member.run(batches, first_step=0, count=4)
    plain = tiny_model()
    body = [p for n, p in plain.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in plain.named_parameters() if p.ndim != 2 or "embed" in n]
    inner = member.inner
    optimizers = [
        torch.optim.Muon(
            body,
            lr=inner.matrix_lr,
            weight_decay=0.0,
            momentum=inner.momentum,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(rest, lr=inner.lr, betas=(inner.beta1, inner.beta2), weight_decay=0.0),
    ]
    for step in range(4):
        tokens = torch.from_numpy(batches(step))
        logits = plain(input_ids=tokens[:, :-1]).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    start, ours, theirs = (
        read_tensors(tiny_model()),
        read_tensors(member.model),
        read_tensors(plain),
    )
    for name in ours:
        moved = np.linalg.norm(theirs[name] - start[name])
        # torch's Muon orthogonalises in bfloat16
        assert np.linalg.norm(ours[name] - theirs[name]) < 0.05 * moved


def test_stats_count_tokens_steps_and_flops():
    member = trainer()
    stats = member.run(batches, first_step=3, count=2)
    assert (stats.steps, stats.tokens) == (2, 2 * 4 * 32)
    assert stats.flops == 6 * parameter_count(member.model) * stats.tokens
    assert len(stats.losses) == len(stats.gradient_norms) == 2
    assert stats.seconds > 0 and stats.tokens_per_second > 0


def test_a_gradient_is_clipped_and_its_norm_before_that_is_told():
    small = trainer(clip_norm=1e-6, optimizer="adamw", z_loss=0.0)
    free = trainer(clip_norm=1e6, optimizer="adamw", z_loss=0.0)
    for member in (small, free):
        stats = member.run(batches, first_step=0, count=1)
        assert stats.gradient_norms[0] > 0.1
    norm = torch.stack([p.grad.norm() for p in small.model.parameters()]).norm()
    assert norm.item() == pytest.approx(1e-6, rel=1e-3)


def test_the_schedule_index_is_the_global_step():
    late = trainer(total_steps=40)
    before = read_tensors(late.model)
    after = weights_after(late, first_step=39, count=1)
    early = weights_after(trainer(total_steps=40), first_step=20, count=1)
    name = "model.embed_tokens.weight"
    assert np.abs(after[name] - before[name]).max() < np.abs(early[name] - before[name]).max() / 5


def test_stopping_ends_between_steps():
    member = trainer()
    taken = []
    stats = member.run(
        batches,
        first_step=0,
        count=10,
        should_stop=lambda: len(taken) == 3,
        on_step=taken.append,
    )
    assert stats.steps == 3 and taken == [0, 1, 2]
    expected = weights_after(trainer(), first_step=0, count=3)
    found = read_tensors(member.model)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_no_steps_are_no_error():
    stats = trainer().run(batches, first_step=0, count=0)
    assert stats.steps == 0 and np.isnan(stats.mean_loss)


def test_a_diverging_run_stops_with_words_and_the_last_good_weights():
    member = trainer()
    member.run(batches, first_step=0, count=1)
    with torch.no_grad():
        member.model.model.norm.weight[0] = torch.inf
    before = read_tensors(member.model)
    with pytest.raises(TrainingDiverged, match="inner step 1") as caught:
        member.run(batches, first_step=1, count=2)
    assert "inner.lr" in caught.value.remedy
    after = read_tensors(member.model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_goldfish_takes_targets_out_of_the_loss():
    def without_end(step):
        return np.where(batches(step) == END, 1, batches(step))

    masked = trainer(goldfish_k=2, goldfish_context=4).run(without_end, first_step=0, count=1)
    full = trainer().run(without_end, first_step=0, count=1)
    assert masked.tokens == full.tokens
    assert masked.losses != full.losses
    assert masked.losses[0] == pytest.approx(full.losses[0], rel=0.1)


def test_goldfish_without_an_end_token_is_refused():
    inner = InnerSpec(goldfish_k=4)
    with pytest.raises(DocumentError, match="goldfish_k"):
        LocalTrainer(tiny_model(), inner, total_steps=1)


def test_the_seen_vocabulary_gives_unseen_rows_no_gradient_through_the_softmax():
    seen = np.zeros(VOCABULARY, dtype=bool)
    seen[:32] = True

    def low(step):
        return batches(step) % 32

    inner = InnerSpec(vocabulary="seen", optimizer="adamw", warmup_steps=1, precision="fp32")
    member = LocalTrainer(tiny_model(), inner, total_steps=10, seen_tokens=seen)
    stats = member.run(low, first_step=0, count=1)
    assert stats.losses[0] == pytest.approx(np.log(32), abs=0.1)
    assert (member.model.model.embed_tokens.weight.grad[32:] == 0).all()
    with pytest.raises(DocumentError, match="vocabulary"):
        LocalTrainer(tiny_model(), inner, total_steps=10)


def test_attention_is_the_models_own_again_afterwards():
    member = trainer()
    member.run(batches, first_step=0, count=1)
    assert member.model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_cut_in_two_ends_with_the_same_bits(optimizer):
    options = {"optimizer": optimizer, "precision": "bf16"}
    whole, first = trainer(**options), trainer(**options)
    whole.run(batches, first_step=0, count=12)
    first.run(batches, first_step=0, count=5)
    second = trainer(tiny_model(seed=99), **options)
    load_tensors(second.model, read_tensors(first.model))
    second.optimizer.load_state(first.optimizer.read_state())
    second.run(batches, first_step=5, count=7)
    for one, two in (
        (read_tensors(whole.model), read_tensors(second.model)),
        (whole.optimizer.read_state(), second.optimizer.read_state()),
    ):
        assert one.keys() == two.keys()
        assert all(np.array_equal(one[name], two[name]) for name in one)

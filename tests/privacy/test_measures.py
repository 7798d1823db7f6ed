"""Each measure finds what it is for, and nothing where there is nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from concord.charter.run_sections import InnerSpec
from concord.model.tensors import read_tensors
from concord.train.audit.measures import auc, kept_share, row_movement, rows_cosine, token_set_auc
from concord.train.audit.scores import continuation, score_rows
from concord.train.loop import LocalTrainer
from tinymodels import TINY, tiny_model

EMBEDDING = "model.embed_tokens.weight"
numbers = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12).map(np.array)


@given(numbers, numbers)
def test_auc_is_the_statistic_of_mann_and_whitney(inside, outside):
    u = stats.mannwhitneyu(inside, outside).statistic
    assert auc(inside, outside) == pytest.approx(u / (len(inside) * len(outside)))


def test_auc_of_nothing_is_not_a_number():
    assert np.isnan(auc(np.array([]), np.ones(3)))


def rows(count, width=33, seed=0):
    return np.random.default_rng(seed).integers(1, TINY.vocabulary_size, (count, width))


def trained(model, batch, steps, *, seen=None, **inner):
    options = {"warmup_steps": 0, "precision": "fp32", "lr": 1e-2, "decay_share": 0.0} | inner
    spec = InnerSpec.model_validate(options)
    trainer = LocalTrainer(model, spec, total_steps=1000, end_id=0, seen_tokens=seen)
    trainer.run(batch, first_step=0, count=steps)
    return model


def test_nats_are_those_of_the_network_row_by_row():
    model, given_rows = tiny_model(), rows(5)
    found = score_rows(model, given_rows, batch_tokens=70)
    tokens = torch.from_numpy(given_rows)
    logits = model(input_ids=tokens[:, :-1]).logits
    for row in range(5):
        nats = torch.nn.functional.cross_entropy(logits[row], tokens[row, 1:])
        assert found.nats[row] == pytest.approx(float(nats.detach()), rel=1e-5)


def test_by_heart_is_what_greedy_generation_would_say():
    taught = rows(4)
    model = trained(tiny_model(), lambda step: taught, 150)
    asked = np.concatenate([taught, rows(4, seed=1)])
    found = score_rows(model, asked)
    first, last = continuation(asked.shape[1] - 1)
    for row, by_heart in zip(asked, found.by_heart, strict=True):
        prompt = torch.from_numpy(row[: first + 1])[None]
        said = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=last - first,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        assert by_heart == (said[0, first + 1 :].tolist() == row[first + 1 : last + 1].tolist())
    assert found.by_heart[:4].all() and not found.by_heart[4:].any()


def test_the_continuation_is_fifty_after_fifty_where_there_is_room():
    assert continuation(128) == (50, 100)
    assert continuation(32) == (16, 32)


def gain_auc(model, steps, **inner):
    """How well what training did to the loss tells the rows it saw from others."""
    inside, outside = rows(24), rows(24, seed=1)
    before = [score_rows(model, part).nats for part in (inside, outside)]
    trained(model, lambda step: inside, steps, **inner)
    after = [score_rows(model, part).nats for part in (inside, outside)]
    return auc(*(b - a for b, a in zip(before, after, strict=True)))


def test_membership_shows_in_what_training_did_to_the_loss():
    assert gain_auc(tiny_model(), 50) > 0.99


def test_membership_does_not_show_where_nothing_was_learned():
    assert gain_auc(tiny_model(), 1, lr=1e-12, matrix_lr=1e-12) == pytest.approx(0.5, abs=0.2)


def test_moved_rows_tell_used_tokens_once_decay_is_undone():
    used = np.zeros(TINY.vocabulary_size, bool)
    used[1:20] = True
    draw = np.random.default_rng(0).integers(1, 20, (4, 33))
    # A softmax over seen tokens alone leaves the rows of all others without a gradient.
    inner = {"lr": 1e-3, "weight_decay": 0.1, "optimizer": "adamw", "vocabulary": "seen"}
    base = read_tensors(tiny_model())[EMBEDDING]
    own = read_tensors(trained(tiny_model(), lambda step: draw, 5, seen=used, **inner))[EMBEDDING]
    kept = kept_share([1e-3] * 5, 0.1)
    assert token_set_auc(row_movement(base - own, base, kept), used) == 1.0
    only_decay = row_movement(base - base * kept, base, kept)
    assert only_decay.max() < 1e-7


def test_rows_that_one_member_alone_moved_are_found_in_the_sum():
    draw = np.random.default_rng(0)
    own, others = draw.normal(size=(2, 40, 8))
    mine = np.arange(40) < 10
    apart = np.where(mine[:, None], own, others) / 6
    assert rows_cosine(apart, own, mine) == pytest.approx(1.0)
    assert abs(rows_cosine(others, own, mine)) < 0.4
    assert rows_cosine(own + others, own, mine) == pytest.approx(np.sqrt(0.5), abs=0.15)
    assert np.isnan(rows_cosine(own, own, np.zeros(40, bool)))

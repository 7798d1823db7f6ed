"""Goldfish: which targets are dropped, and that every member drops the same ones."""

import numpy as np
import pytest

from concord.train.goldfish import PUBLIC_KEY, kept_targets, siphash

END = 0


@pytest.mark.parametrize(
    ("length", "expected"),
    [(4, "b7877127e09427cf"), (8, "6224939a79f5f593"), (12, "fbe50e86bc8f1e75")],
)
def test_the_hash_is_siphash_2_4(length, expected):
    # vectors_sip64 of the reference implementation: key 00..0f, message 00 01 02 ...
    message = np.frombuffer(bytes(range(length)), dtype="<u4").astype(np.int64)
    assert int(siphash(message[None], bytes(range(16)))[0]).to_bytes(8, "little").hex() == expected


def documents(seed, samples=64, width=257):
    tokens = np.random.default_rng(seed).integers(1, 1000, (samples, width))
    tokens[:, 0] = END
    return tokens


def test_one_target_in_k_is_dropped():
    kept = kept_targets(documents(1, 200), k=4, context_tokens=13, end_id=END)
    assert np.mean(~kept[:, 13:]) == pytest.approx(1 / 4, abs=0.01)


def test_the_first_h_targets_of_a_document_are_kept():
    kept = kept_targets(documents(2), k=2, context_tokens=13, end_id=END)
    assert kept[:, :13].all()
    assert not kept[:, 13:].all()


def test_a_passage_is_dropped_alike_wherever_it_stands():
    passage = np.random.default_rng(3).integers(1, 1000, 60)
    samples = np.full((3, 130), 7)
    starts = (1, 30, 69)
    for sample, start in zip(samples, starts, strict=True):
        sample[start : start + 60] = passage
    samples[:, 0] = END
    kept = kept_targets(samples, k=3, context_tokens=13, end_id=END)
    inside = [kept[row, s + 12 : s + 59] for row, s in enumerate(starts)]
    assert np.array_equal(inside[0][1:], inside[1][1:])
    assert np.array_equal(inside[1], inside[2])
    assert not inside[1].all()


def test_a_window_never_crosses_documents():
    tokens = documents(4)
    tokens[:, 100] = END
    other = tokens.copy()
    other[:, 1:100] = 5
    for each in (tokens, other):
        kept = kept_targets(each, k=2, context_tokens=13, end_id=END)
        assert kept[:, 100:113].all()  # the first 13 targets after the end token at column 100
    assert np.array_equal(
        kept_targets(tokens, k=2, context_tokens=13, end_id=END)[:, 100:],
        kept_targets(other, k=2, context_tokens=13, end_id=END)[:, 100:],
    )


def test_what_a_sample_cannot_decide_is_dropped():
    tokens = documents(5)
    tokens[:, 0] = 9  # the document began before the sample
    kept = kept_targets(tokens, k=4, context_tokens=13, end_id=END)
    assert not kept[:, :12].any()
    assert kept[:, 12:].any()


def test_order_counts_and_no_token_fixes_the_hash():
    window = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [0, 9, 9, 9], [1, 2, 3, 0]])
    assert len(set(siphash(window, PUBLIC_KEY).tolist())) == 4


def test_another_key_drops_other_targets():
    tokens = documents(6)
    one = kept_targets(tokens, k=4, context_tokens=13, end_id=END)
    two = kept_targets(tokens, k=4, context_tokens=13, end_id=END, key=bytes(16))
    assert not np.array_equal(one, two)


def test_samples_shorter_than_the_window_are_handled():
    tokens = np.array([[END, 5, 6]])
    assert kept_targets(tokens, k=2, context_tokens=13, end_id=END).all()
    assert not kept_targets(np.array([[4, 5, 6]]), k=2, context_tokens=13, end_id=END).any()

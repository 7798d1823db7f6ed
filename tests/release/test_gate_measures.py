"""Measures of gates against closed forms, scipy and counting by hand; evidence as a file."""

import json

import numpy as np
import pytest
from scipy.stats import bootstrap

from concord.base.errors import VerificationFailed
from concord.charter.gates import Gate
from concord.crypto.dsse import Envelope
from concord.release.gates.evidence import Measurement, read_evidence, sign_evidence
from concord.release.gates.measures import (
    DocumentSums,
    bits_bound,
    preference,
    true_positive_rate,
)
from concord.testing.history import key

MODEL = CHARTER = "sha256:" + "ab" * 32
GATE = Gate(id="whole", metric="integrity", max="1/2")


def sums(seed, count=80):
    draw = np.random.default_rng(seed)
    size = draw.integers(200, 900, count).astype(float)
    return DocumentSums(size * draw.uniform(0.8, 1.6, count), size)


def test_the_bound_is_that_of_scipy_s_percentile_bootstrap():
    found = sums(1)
    ours = bits_bound(found, None, confidence=0.95, upper=True, seed=3)

    def bits(nats, size, axis=-1):
        return nats.sum(axis) / np.log(2) / size.sum(axis)

    theirs = bootstrap(
        (found.nats, found.bytes), bits, paired=True, vectorized=True, method="percentile",
        confidence_level=0.9, n_resamples=4000, rng=np.random.default_rng(7),
    ).confidence_interval  # fmt: skip
    assert ours.value == pytest.approx(found.bits_per_byte, abs=1e-6)
    assert ours.bound == pytest.approx(theirs.high, abs=0.01)
    below = bits_bound(found, None, confidence=0.95, upper=False, seed=3)
    assert below.bound == pytest.approx(theirs.low, abs=0.01)


def test_a_model_is_not_above_itself_and_the_comparison_is_by_document():
    found = sums(2)
    same = bits_bound(found, found, confidence=0.95, upper=True, seed=1)
    assert (same.value, same.bound) == (0.0, 0.0)
    worse = DocumentSums(found.nats * 1.1, found.bytes)
    gap = bits_bound(worse, found, confidence=0.95, upper=True, seed=1)
    assert gap.value == pytest.approx(0.1 * found.bits_per_byte, rel=1e-4)
    assert gap.bound - gap.value < 0.1 * gap.value  # the documents' own spread is taken out


def test_true_positives_at_a_rate_of_false_ones():
    outside = np.arange(100.0)
    inside = np.array([98.5, 99.5, 5.0, 200.0])
    assert true_positive_rate(inside, outside, false_positives=0.01) == 0.75
    assert true_positive_rate(outside, outside, false_positives=0.01) == 0.01
    assert np.isnan(true_positive_rate(inside, np.array([]), false_positives=0.01))


def test_preference_counts_pairs_and_ties_half():
    assert preference([1, 2, 3, 4], [2, 1, 3, 5]) == 0.625


def test_evidence_is_an_in_toto_test_result_that_its_runner_signed():
    data = sign_evidence(
        GATE,
        MODEL,
        Measurement({"model": 0.25}, 7, {"rounds": 3}),
        runner="chad",
        charter=CHARTER,
        keys=[key("chad")],
    )
    found, envelope = read_evidence(data, where="x")
    assert envelope.verify([key("chad").public], 1) == {key("chad").public.key_id}
    assert (found.model, found.own.measured, found.predicate.result) == (
        MODEL,
        {"model": 0.25},
        "PASSED",
    )
    payload = json.loads(Envelope.decode(data).payload)
    assert payload["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert payload["predicate"]["passedTests"] == ["model"]
    with pytest.raises(VerificationFailed, match="is no evidence"):
        read_evidence(data[:-3], where="x")

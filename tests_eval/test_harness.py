"""lm-evaluation-harness asks a network whose probabilities are computed by hand."""

import json
import random

import numpy as np
import pytest
from gatelab import BigramLab, declared, log_chances

from concord.release.gates.evidence import read_evidence, sign_evidence
from concord.testing.history import key

CHARTER = "sha256:" + "ab" * 32


@pytest.fixture
def lab(tmp_path):
    return BigramLab(tmp_path / "atlas")


def rows(count=30):
    draw = random.Random(1)
    words = ["na ni", "ko", "sameko", "vua", "yani du"]
    return [
        {"input": draw.choice(words), "choices": draw.sample(words, 3), "target": draw.randrange(3)}
        for _ in range(count)
    ]


def by_hand(lab, row):
    """Whether the target is the likeliest choice: sums over the tokens of space and choice."""
    table = log_chances(lab.network)

    def nats(choice):
        before, ids = lab.tokenizer.encode(row["input"]), lab.tokenizer.encode(" " + choice)
        chain = [before[-1], *ids]
        return table[chain[:-1], chain[1:]].sum()

    return int(np.argmax([nats(choice) for choice in row["choices"]])) == row["target"]


def declare(lab, found, **said):
    return declared(lab, "".join(json.dumps(row) + "\n" for row in found).encode(), **said)


def test_the_harness_counts_what_the_probabilities_say(lab):
    found = rows()
    right = sum(by_hand(lab, row) for row in found)
    assert 0 < right < len(found)
    measured = lab.runner().measure(declare(lab, found, min="1/3"), "fiji")
    assert measured.measured == {"model": round(right / len(found), 6)}
    assert measured.n == len(found)
    assert measured.details["correct"] == right
    assert str(measured.details["library"]).startswith("lm-eval ")


@pytest.mark.parametrize(("limit", "result"), [("1/3", "PASSED"), ("9/10", "FAILED")])
def test_evidence_of_a_task_is_signed_as_any_gate_s(lab, limit, result):
    asked, runner = declare(lab, rows(), min=limit), lab.runner()
    measured = runner.measure(asked, "fiji")
    data = sign_evidence(
        asked, runner.bench.model, measured, runner="fiji", charter=CHARTER, keys=[key("fiji")]
    )
    found, envelope = read_evidence(data, where="x")
    envelope.verify([key("fiji").public], 1)
    assert found.predicate.result == result
    assert found.own.details["task"] == asked.task_digest
    assert found.own.measured == measured.measured


def test_a_gate_looks_at_as_many_rows_as_it_says(lab):
    found = rows()
    measured = lab.runner().measure(declare(lab, found, samples=7, slice="member"), "fiji")
    assert measured.n == 7
    assert measured.measured == {"fiji": round(np.mean([by_hand(lab, r) for r in found[:7]]), 6)}


def test_text_in_a_row_is_never_a_template(lab):
    odd = {"input": "{{ 7 }}", "choices": ["{{ 'na' }}", "na"], "target": 1}
    assert by_hand(lab, odd)  # as a template both choices would be one, and the first would win
    assert lab.runner().measure(declare(lab, [odd]), "fiji").measured == {"model": 1.0}


def test_a_choice_longer_than_the_context_is_scored_by_its_end(lab):
    long = {"input": "na", "choices": ["ko " * 40, "sa " * 40], "target": 0}
    assert lab.runner().measure(declare(lab, [long]), "fiji").n == 1

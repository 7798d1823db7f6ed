"""Inspect asks a network whose likeliest tokens follow from its embeddings."""

import json

import pytest
from gatelab import BigramLab, declared, log_chances


@pytest.fixture
def lab(tmp_path):
    return BigramLab(tmp_path / "atlas")


def says(lab, question, count=16):
    """The likeliest token each time, until the end token."""
    follows = log_chances(lab.network).argmax(1)
    last, made = lab.tokenizer.encode(question)[-1], []
    for _ in range(count):
        last = int(follows[last])
        if last == lab.tokenizer.end_id:
            break
        made.append(last)
    return lab.tokenizer.decode(made)


def test_inspect_finds_the_targets_that_the_network_says(lab):
    # A network that walks through letters, each of which names the next.
    lab.network = lab.walking("abcdefgh")
    assert says(lab, "xa").startswith("bcdefgh")
    rows = [
        {"input": "xa", "target": "BCD"},  # case aside
        {"input": "x {{a}} e", "target": "fgh"},
        {"input": "a", "target": "hgf"},
        {"input": "ab " * 40 + "c", "target": "defg"},  # longer than the context
    ]
    asked = declared(lab, lines(rows), task="inspect:proverbs", min="1/2")
    found = lab.runner(lab.network).measure(asked, "fiji")
    right = [row["target"].casefold() in says(lab, row["input"]).casefold() for row in rows]
    assert right == [True, True, False, True]
    assert found.measured == {"model": 0.75}
    assert (found.n, found.details["correct"]) == (4, 3)
    assert str(found.details["library"]).startswith("inspect-ai ")


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()

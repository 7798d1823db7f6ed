"""The product against an implementation written from docs/aggregation.md: the same bytes."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import reference_merge as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from replaylab import document, play

from concord.ledger.arithmetic import round_weights
from concord.update.codecs import CODECS


@pytest.mark.parametrize(
    ("update", "state"),
    [
        ({}, {}),
        ({"outer": {"momentum": 0.9, "lr": 0.7}, "owner_cap": "3/8"}, {}),
        ({"codec": "fp32", "outer": {"embedding_lr": 1.1}}, {"every_rounds": 2}),
        ({"codec": "fp32", "down_codec": "fp32", "outer": {"momentum": 0.5}}, {"mode": "local"}),
        ({"codec": "int8", "down_codec": "bf16"}, {"codec": "bf16"}),
        ({"codec": "bf16", "down_codec": "int8", "outer": {"late_share": 0.8}}, {}),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_round_comes_to_the_same_bytes(tmp_path, update, state, seed):
    run = document(update=update, inner={"state": state})
    compare_bytes(play(tmp_path, run, rounds=3, absent={1: ["laos"]}, seed=seed))


def compare_bytes(played):
    """Every round of a run, merged again from its updates."""
    run, plain = played.run, json.loads(played.run.canonical)
    first, *rest = played.records
    base, outer_state = played.objects.get(first.base), None
    for number, record in enumerate(rest):
        updates = {m: played.objects.get(c.update) for m, c in record.contributions.items()}
        shares = {m: c.weight for m, c in record.contributions.items()}
        assert reference.weights(plain, updates) == shares
        step, base, outer_state = reference.merge(
            plain, run.digest, number, base, updates, outer_state
        )
        assert reference.digest(step) == record.step
        assert reference.digest(base) == record.base
        assert (outer_state and reference.digest(outer_state)) == record.outer_state


@pytest.mark.parametrize("fragments", [2, 3])
@pytest.mark.parametrize(
    "update", [{}, {"outer": {"momentum": 0.9, "lr": 0.7}}], ids=["plain", "mu"]
)
def test_rounds_of_a_fragment_come_to_the_same_bytes(tmp_path, fragments, update):
    parts = {"count": 8, "inner_steps": 3, "fragments": fragments}
    run = document(rounds=parts, update=update, inner={"state": {"every_rounds": 2}})
    compare_bytes(play(tmp_path, run, rounds=2 * fragments, absent={1: ["laos"]}))


@pytest.mark.parametrize("clip_ratio", [1.0, 1.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_clipped_rounds_come_to_the_same_bytes(tmp_path, clip_ratio, seed):
    """Five rounds: three without a running median, and two with one."""
    run = document(update={"norm_control": "clip_groups", "clip_ratio": clip_ratio})
    played = play(tmp_path, run, rounds=5, absent={1: ["laos"], 3: ["fiji"]}, seed=seed)
    plain, k = json.loads(run.canonical), 3.0  # inner steps at the full rate
    first, *rest = played.records
    base, outer_state, history, clipped = played.objects.get(first.base), None, {}, []
    for number, record in enumerate(rest):
        updates = {m: played.objects.get(c.update) for m, c in record.contributions.items()}
        entries, decoded = reference.decoded_updates(plain, number, base, updates)
        factors, history = reference.clip_factors(plain, entries, decoded, history, k)
        clipped.append(min(factors.values()) < 1)
        step, base, outer_state = reference.merge(
            plain, run.digest, number, base, updates, outer_state, factors
        )
        assert reference.digest(step) == record.step
        assert reference.digest(base) == record.base
        kept = {group: list(norms) for group, norms in record.norm_history.items()}
        assert {group: kept[group] for group in history} == history
    assert any(clipped[:3]), "by the median of the round itself"
    assert any(clipped[3:]), "by the running median"


def test_norms_come_to_the_same_bits(tmp_path):
    run = document()
    played = play(tmp_path, run, rounds=1)
    plain, record = json.loads(run.canonical), played.records[1]
    base = reference.read_tensors(played.objects.get(played.records[0].base))
    entries = reference.layout(plain, base, 0, "int4")
    for contribution in record.contributions.values():
        tensors = reference.read_update(played.objects.get(contribution.update), entries)
        found = reference.norm([tensors[name] for name, _, what, _ in entries if what != "state"])
        assert found == contribution.norm


@settings(max_examples=60, deadline=None)
@given(
    given=st.lists(st.fractions(Fraction(1, 50), 50, max_denominator=50), min_size=3, max_size=8),
    owners=st.lists(st.sampled_from(["", "one", "two"]), min_size=8, max_size=8),
    cap=st.fractions(Fraction(1, 3), 1, max_denominator=30),
)
def test_weights_come_to_the_same_fractions(given, owners, cap):
    roster = [
        {"id": f"m{number}", "weight": str(weight), "owner": owners[number]}
        for number, weight in enumerate(given)
    ]
    distinct = {member["owner"] or member["id"] for member in roster}
    if len(distinct) * cap < 1:
        cap = Fraction(1)
    run = document(roster=roster, update={"owner_cap": str(cap)})
    members = [member["id"] for member in roster]
    assert reference.weights(json.loads(run.canonical), members) == round_weights(run, members)
    paced = document(
        roster=roster, update={"owner_cap": str(cap)}, rounds={"count": 8, "pace": "by_speed"}
    )
    steps = {member: 1 + 7 * number % 20 for number, member in enumerate(members)}
    found = reference.weights(json.loads(paced.canonical), members, steps)
    assert found == round_weights(paced, members, steps)


@settings(max_examples=60, deadline=None)
@given(codec=st.sampled_from(["fp32", "bf16", "int8", "int4"]), data=st.data())
def test_codecs_come_to_the_same_bytes(codec, data):
    size = data.draw(st.sampled_from([1, 2, 255, 256, 257, 511]))
    few = st.sampled_from([0.0, 1.0, -3.5, 1e-3, 7e-45, -2e-41, 1e18])
    values = data.draw(st.lists(few | st.floats(-1e10, 1e10, width=32), min_size=1, max_size=40))
    values = np.resize(np.array(values, np.float32), size)
    encoded = CODECS[codec].encode(values)
    assert reference.encode(codec, values) == encoded
    decoded = CODECS[codec].decode(encoded, size)
    assert reference.decode(codec, encoded, size).tobytes() == decoded.tobytes()


def test_the_vectors_of_the_page_hold():
    data = reference.encode("int4", np.array([0.7, -0.33, 0.04, 0], np.float32))
    assert data[4:].hex(" ") == "d7 00"
    value, buffer, half = np.float32(1), np.float32(0), np.float32(0.5)
    rate, momentum, seen = np.float32(0.7), np.float32(0.9), []
    for _ in range(3):
        buffer = momentum * buffer + half
        value = value - rate * (half + momentum * buffer)
        seen.append(float(value))
    assert seen == pytest.approx([0.335, -0.6135, -1.81715], rel=1e-6)
    run = json.loads(document(update={"owner_cap": "3/8"}).canonical)
    shares = reference.weights(run, [member["id"] for member in run["roster"]])
    assert shares["peru"] == Fraction(35, 184)
    assert sum(shares.values()) == 1


def test_the_second_implementation_imports_nothing_of_the_first():
    text = Path(reference.__file__).read_text(encoding="utf-8")
    assert "concord" not in [
        w for line in text.splitlines() if "import " in line for w in line.split()
    ]

"""What the integers of a sealed round stand for, and which vocabulary rows are left out of it."""

import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concord.base.errors import DocumentError
from concord.base.tensors import TensorFile, TensorSpec, write_tensors
from concord.charter.run import parse_run
from concord.ledger.arithmetic import round_weights, sealed_weights
from concord.ledger.layouts import update_layout
from concord.ledger.sealed.coverage import Coverage, coverage_of
from concord.ledger.sealed.tables import first_clips, next_clips, norm_limits, scale_table
from concord.ledger.sealed.values import SealedMean, quantised, weighing

SPECS = [
    TensorSpec("embed_tokens.weight", (6, 4)),
    TensorSpec("layer.weight", (8, 8)),
    TensorSpec("second_moment/rows/embed_tokens.weight", (6,)),
]
FIVE = ("chad", "fiji", "iran", "laos", "peru")
TONGUES = {"chad": ["fra"], "fiji": ["fij"], "iran": ["pes"], "laos": ["fra"], "peru": ["fra"]}


def run_of(members=FIVE, *, seal=None, weights=(), **sections):
    value = {
        "name": "test",
        "roster": [
            {"id": m, "languages": TONGUES.get(m, []), "weight": dict(weights).get(m, "1")}
            for m in members
        ],
        "update": {"codec": "ring16", **sections.pop("update", {})},
        "inner": {"lr": 0.1, "matrix_lr": 0.1, "batch_tokens": 128, "warmup_steps": 0},
        "seal": seal or {},
        **sections,
    }
    return parse_run(value)


def summed(run, tensors, coverage, path, members=None):
    """The mean of members' tensors, by way of their integers."""
    write_tensors(path, SPECS, (np.full(s.shape, 0.25, np.float32) for s in SPECS))
    base, layout = TensorFile(path), update_layout(run, SPECS, 0)
    table = scale_table(run, SPECS, 0, first_clips(run, SPECS), len(run.roster))
    found = weighing(run)
    vectors = [
        quantised(
            tensors[m], layout, table, coverage, limits={}, share=found.share(m), random=os.urandom
        )
        for m in members or run.member_ids
    ]
    total = np.sum(np.array(vectors, np.int64), axis=0).astype(table.ring.signed)
    assert not total[-64:].any(), "check elements are 0"
    shares = sealed_weights(run, members or run.member_ids)
    return table, SealedMean(
        [total[:-64]],
        layout,
        table,
        coverage,
        largest=found.largest,
        divisor=found.divisor(shares),
        base=base,
    )


def drawn(seed=0):
    draw = np.random.default_rng(seed)
    return {
        m: {
            "embed_tokens.weight": draw.normal(0, 0.1, (6, 4)).astype(np.float32),
            "layer.weight": draw.normal(0, 0.1, (8, 8)).astype(np.float32),
            "second_moment/rows/embed_tokens.weight": (10.0 ** draw.uniform(-14, 0, 6)).astype(
                np.float32
            ),
        }
        for m in FIVE
    }


def test_the_mean_is_that_of_the_members_values_to_a_step_of_the_scale(tmp_path):
    tensors = drawn()
    table, mean = summed(run_of(), tensors, Coverage(b""), tmp_path / "base")
    for scale in table.tensors[:2]:
        right = np.mean([tensors[m][scale.name] for m in FIVE], axis=0)
        step = scale.clip / table.ring.largest
        assert np.abs(mean.tensor(scale.name) - right).max() <= 1.001 * step


def test_second_moments_keep_fourteen_decades(tmp_path):
    tensors = drawn()
    name = "second_moment/rows/embed_tokens.weight"
    _, mean = summed(run_of(), tensors, Coverage(b""), tmp_path / "base")
    right = np.mean([tensors[m][name].astype(np.float64) for m in FIVE], axis=0)
    assert mean.tensor(name) == pytest.approx(right, rel=1e-2, abs=1e-16)


def test_weights_and_drop_outs_move_the_mean_exactly(tmp_path):
    tensors, run = drawn(), run_of(weights={"chad": "3", "peru": "2"}, update={"owner_cap": "1/2"})
    taking = ("chad", "fiji", "laos", "peru")
    shares = sealed_weights(run, taking)
    table, mean = summed(run, tensors, Coverage(b""), tmp_path / "base", taking)
    right = sum(float(shares[m]) * tensors[m]["layer.weight"] for m in taking)
    found = weighing(run)
    reach = len(taking) * found.largest / found.divisor(shares)  # each rounds by one step at most
    step = float(reach) * table.tensors[1].clip / table.ring.largest
    assert np.abs(mean.tensor("layer.weight") - right).max() <= 1.001 * step


@settings(max_examples=50)
@given(
    weights=st.lists(st.integers(1, 9), min_size=5, max_size=5),
    taking=st.sets(st.sampled_from(FIVE), min_size=1),
)
def test_no_owner_is_lifted_over_its_cap_when_others_drop_out(weights, taking):
    named = {m: str(w) for m, w in zip(FIVE, weights, strict=True)}
    run = run_of(weights=named, update={"owner_cap": "1/2"})
    shares = sealed_weights(run, taking)
    whole = round_weights(run, run.member_ids)
    assert max(shares.values()) <= Fraction(1, 2)
    assert sum(shares.values()) <= 1
    ratios = {shares[m] / whole[m] for m in taking}
    assert len(ratios) == 1, "what members masked before they knew who stays is what counts"


def test_a_row_of_too_few_members_is_zero_in_what_is_sent_and_stays_in_the_base(tmp_path):
    tensors, coverage = drawn(), Coverage(bytes([0, 1, 0, 0, 1]))
    _, mean = summed(run_of(), tensors, coverage, tmp_path / "base")
    merged = mean.tensor("embed_tokens.weight")
    assert not merged[[1, 4]].any()
    assert merged[[0, 2, 3, 5]].any(axis=1).all()
    state = mean.tensor("second_moment/rows/embed_tokens.weight")
    assert state[[1, 4]].tolist() == [0.25, 0.25], "as it was"


def test_a_token_is_covered_by_the_owners_that_declare_its_languages():
    run = run_of()
    occurring = {"fra": np.array([0, 1, 2]), "fij": np.array([2, 3]), "pes": np.array([4])}
    left_out = coverage_of(run, 6, occurring).rows
    assert left_out.tolist() == [False, False, False, True, True, True]


def test_a_language_is_named_to_train_its_rows_all_the_same():
    run = run_of(seal={"lone_languages": {"fij": 1}})
    occurring = {"fra": np.array([0]), "fij": np.array([3]), "pes": np.array([4])}
    assert coverage_of(run, 6, occurring).rows.tolist() == [False, True, True, False, True, True]
    possible = {"fij": np.array([1, 2]), "pes": np.array([2])}
    rows = coverage_of(run, 6, occurring, possible).rows
    assert rows.tolist() == [False, False, True, False, True, True], "2 could be Persian too"


def test_coverage_has_one_form():
    coverage = Coverage(bytes([0, 1, 0]))
    assert Coverage.decode(coverage.encode()) == coverage
    with pytest.raises(DocumentError):
        Coverage.decode(b'{"left_out":[9],"tokens":3}')
    with pytest.raises(DocumentError):
        Coverage.decode(b'{"left_out":[1,1],"tokens":3}')


def test_a_member_shortens_an_update_that_is_far_too_long():
    run = run_of()
    layout, clips = update_layout(run, SPECS, 1), first_clips(run, SPECS)
    limits = norm_limits(run, layout, 1, clips)
    table = scale_table(run, SPECS, 1, clips, 5)
    limit, scale = limits["layer.weight"], table.tensors[1]
    shape = (8, 8)
    long = np.full(shape, 10 * limit / 8, np.float32)
    tensors = {**drawn()["chad"], "layer.weight": long}
    vector = quantised(
        tensors, layout, table, Coverage(b""), limits=limits, share=1.0, random=os.urandom
    )
    sent = vector[table.starts[1] : table.starts[1] + 64] * (scale.clip / table.ring.largest)
    assert np.linalg.norm(sent) <= 1.01 * limit


def test_scales_change_by_a_factor_of_two_at_most():
    clips, layout = {"layer.weight": 1.0}, update_layout(run_of(), SPECS, 1)
    assert next_clips(layout, clips, {"layer.weight": 100.0}, 5)["layer.weight"] == 2.0
    assert next_clips(layout, clips, {"layer.weight": 0.0}, 5)["layer.weight"] == 0.5

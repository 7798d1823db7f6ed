"""The run document: what is refused, what its digest depends on, which schedule follows."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import DocumentError
from concord.charter.run import load_run, parse_run
from concord.charter.run_sections import InnerSpec, RoundsSpec
from concord.charter.schedule import (
    first_step,
    inner_steps,
    outer_rate,
    rate_factor,
    total_steps,
)

ROSTER = [{"id": "chad"}, {"id": "fiji"}, {"id": "laos"}, {"id": "peru"}]


def document(**sections):
    return parse_run({"name": "test", "roster": ROSTER, **sections}, where="test.toml")


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        ({"inner": {"learning_rate": 1}}, "inner.learning_rate: unknown key"),
        ({"inner": {"lr": -1}}, "inner.lr"),
        ({"inner": {"lr": float("nan")}}, "inner.lr"),
        ({"inner": {"batch_tokens": 100}}, "inner.batch_tokens"),
        ({"rounds": {"quorum": "0"}}, "quorum"),
        ({"rounds": {"quorum": 0.5}}, "exact fraction"),
        ({"rounds": {"quorum": "1/0"}}, "not a fraction"),
        ({"rounds": {"count": 0}}, "rounds.count"),
        ({"model": {"heads": 4, "kv_heads": 3}}, "kv_heads"),
        ({"update": {"codec": "sparse", "outer": {"momentum": 0.9}}}, "momentum must be 0"),
        ({"roster": [*ROSTER, {"id": "chad"}]}, "twice"),
        ({"roster": [{"id": "Chad!"}]}, "is not a name"),
        ({"roster": [{"id": "chad", "weight": "-1"}]}, "weight"),
        ({"roster": []}, "roster"),
        ({"seed": -1}, "seed"),
    ],
)
def test_an_impossible_document_is_refused_naming_field_and_file(sections, field):
    with pytest.raises(DocumentError, match=field) as caught:
        parse_run({"name": "test", "roster": ROSTER, **sections}, where="test.toml")
    assert caught.value.where == "test.toml"
    assert caught.value.remedy


def test_a_file_that_is_not_toml_is_refused(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("name = [")
    with pytest.raises(DocumentError, match="not TOML"):
        load_run(path)


def test_a_missing_file_names_the_command_that_writes_one(tmp_path):
    with pytest.raises(DocumentError, match="concord init"):
        load_run(tmp_path / "run.toml")


def test_the_digest_changes_with_any_value_and_not_with_what_is_left_to_defaults():
    assert document().digest == document(seed=0).digest
    assert document().digest != document(seed=1).digest
    assert document().digest != document(inner={"lr": 0.004}).digest


def test_weights_and_quorum_are_exact():
    run = document(roster=[{"id": "chad", "weight": "1/3"}], rounds={"quorum": "2/3"})
    assert run.roster[0].weight == Fraction(1, 3)
    assert run.rounds.quorum == Fraction(2, 3)
    assert parse_run(run.model_dump(mode="json")) == run


def test_the_outer_rates_grow_with_the_square_root_of_the_members():
    assert outer_rate(document(), 0, embedding=False) == 2.0
    assert outer_rate(document(), 0, embedding=True) == 4.0
    named = document(update={"outer": {"lr": 1.5, "embedding_lr": 0.5}})
    assert outer_rate(named, 0, embedding=False) == 1.5
    assert outer_rate(named, 0, embedding=True) == 0.5


def test_the_outer_rate_falls_late():
    run = document(
        rounds={"count": 9},
        update={"outer": {"lr": 1.0, "late_share": 1 / 3, "late_factor": 0.5}},
    )
    assert [outer_rate(run, r, embedding=False) for r in range(9)] == [1.0] * 6 + [0.5] * 3


def test_the_rate_warms_up_stays_and_falls():
    inner = InnerSpec(warmup_steps=10, decay_share=0.2, decay_shape="linear")
    factors = [rate_factor(inner, step, 100) for step in range(100)]
    assert factors[0] == 0.1
    assert factors[10:80] == [1.0] * 70
    assert factors[80:] == sorted(factors[80:], reverse=True)
    assert 0 < factors[-1] < 0.06


def test_the_root_shape_falls_faster_at_first():
    linear = InnerSpec(warmup_steps=0, decay_share=1.0, decay_shape="linear")
    root = InnerSpec(warmup_steps=0, decay_share=1.0, decay_shape="one_minus_sqrt")
    assert rate_factor(root, 24, 99) == pytest.approx(1 - math.sqrt(0.25))
    assert rate_factor(linear, 24, 99) == pytest.approx(0.75)


@given(
    count=st.integers(1, 60),
    steps=st.integers(1, 50),
    first=st.one_of(st.none(), st.integers(1, 50)),
)
def test_rounds_follow_each_other_without_gap(count, steps, first):
    rounds = RoundsSpec(count=count, inner_steps=steps, first_inner_steps=first)
    begin = 0
    for round_ in range(count):
        assert first_step(rounds, round_) == begin
        assert inner_steps(rounds, round_) >= 1
        begin += inner_steps(rounds, round_)
    assert total_steps(rounds) == begin
    assert inner_steps(rounds, count - 1) == steps or count == 1


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"roster": [{"id": "a"}, {"id": "b"}]}, "among 3 or more"),
        ({"roster": [{"id": "a", "weight": 2}, {"id": "b"}, {"id": "c"}]}, "must be equal"),
        ({"roster": [{"id": n, "owner": "x"} for n in "abc"]}, "must be distinct"),
        ({"update": {"merge": "krum", "rows": "token_counts"}}, "uniform"),
        ({"update": {"merge": "krum", "hostile": 2}}, "among 5 or more"),
    ],
)
def test_a_robust_rule_counts_heads_alone(changes, match):
    value = {"name": "r", "roster": [{"id": n} for n in "abc"], "update": {"merge": "krum"}}
    parse_run(value)
    with pytest.raises(DocumentError, match=match):
        parse_run({**value, **changes})

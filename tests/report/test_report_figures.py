"""Each figure, computed again by other means from the report's own sums."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
from report_sample import bare_report, sample_evidence, sample_report, small_report

from concord.federation.report import Arm, alone, build_report, sovereign


def bits_per_byte(sums: dict) -> float:
    return sums["nats"] / math.log(2) / sums["bytes"]


@pytest.fixture(scope="module")
def value() -> dict:
    """The report as a stranger reads it: plain JSON."""
    return sample_report().model_dump(mode="json")


def test_a_stranger_recomputes_every_model_s_mean_and_ratio_from_the_sums(value):
    matrix, figures = value["evidence"]["matrix"], value["figures"]["models"]
    members = [member["id"] for member in value["evidence"]["members"]]
    pooled = fmean(bits_per_byte(matrix["pooled"][member]) for member in members)
    for model in ("shared", "pooled", *map(alone, members)):
        mean = fmean(bits_per_byte(matrix[model][member]) for member in members)
        assert figures[model]["mean_bpb"] == pytest.approx(mean)
        assert figures[model]["ratio_to_pooled"] == pytest.approx(mean / pooled)


def test_a_stranger_recomputes_what_each_member_gained_on_its_own_text(value):
    matrix = value["evidence"]["matrix"]
    for member, figure in value["figures"]["members"].items():
        own = {
            name: bits_per_byte(matrix[model][member])
            for name, model in (
                ("shared", "shared"),
                ("alone", alone(member)),
                ("sovereign", sovereign(member)),
            )
        }
        for name, expected in own.items():
            assert figure[f"{name}_bpb"] == pytest.approx(expected)
        assert figure["shared_against_alone"] == pytest.approx(own["shared"] / own["alone"])
        assert figure["sovereign_against_alone"] == pytest.approx(own["sovereign"] / own["alone"])


def test_the_worst_member_is_named_by_each_measure(value):
    figures = value["figures"]
    for worst, measure in (
        ("worst_shared", "shared_bpb"),
        ("worst_against_alone", "shared_against_alone"),
        ("worst_sovereign", "sovereign_against_alone"),
    ):
        by_member = {member: figure[measure] for member, figure in figures["members"].items()}
        assert figures[worst]["value"] == max(by_member.values())
        assert by_member[figures[worst]["member"]] == figures[worst]["value"]
    assert figures["worst_sovereign"]["member"] == "nigeria"


def test_a_stranger_recomputes_bytes_per_parameter_and_round_and_the_ratio_to_fp32(value):
    evidence, cost = value["evidence"], value["figures"]["cost"]
    parameters = evidence["card"]["parameters"]
    sent = [count for part in evidence["rounds"] for count in part["bytes_up"].values()]
    joined = sum(len(part["participants"]) for part in evidence["rounds"])
    assert cost["bytes_up"] == sum(sent)
    assert cost["bytes_up_per_parameter_round"] == pytest.approx(sum(sent) / joined / parameters)
    assert cost["fp32_ratio_up"] == pytest.approx(4 * parameters * joined / sum(sent))
    received = [count for part in evidence["rounds"] for count in part["bytes_down"].values()]
    assert cost["bytes_down_per_parameter_round"] == pytest.approx(
        sum(received) / parameters / len(evidence["rounds"]) / len(evidence["members"])
    )
    kenya = value["figures"]["members"]["kenya"]
    assert (kenya["rounds_joined"], kenya["rounds_missed"]) == (146, 4)


def test_a_stranger_recomputes_throughput_and_the_share_of_time_not_in_training(value):
    rounds, time = value["evidence"]["rounds"], value["figures"]["time"]
    seconds = sum(part["seconds"] for part in rounds)
    training = sum(max(part["train_s"].values()) for part in rounds)
    assert time["tokens_per_s"] == pytest.approx(sum(part["tokens"] for part in rounds) / seconds)
    assert time["overhead_share"] == pytest.approx((seconds - training) / seconds)


def test_training_time_that_was_measured_beats_the_guess_from_the_slowest_member():
    evidence = sample_evidence()
    rounds = tuple(part.model_copy(update={"training_s": 5.95}) for part in evidence.rounds)
    report = build_report(evidence.model_copy(update={"rounds": rounds}))
    assert report.figures.time.overhead_share == pytest.approx(0.5)


def test_a_stranger_recomputes_premium_and_facts(value):
    evidence, figures = value["evidence"], value["figures"]
    tokens = {name: c["tokens"] for name, c in evidence["tokenizer"]["parallel"].items()}
    assert figures["tokenizer"]["premium"] == pytest.approx(
        {name: count / min(tokens.values()) for name, count in tokens.items()}
    )
    assert figures["tokenizer"]["max_over_min"] == pytest.approx(41_900 / 40_100)
    assert figures["ordinary_tokenizer"]["max_over_min"] == pytest.approx(56_100 / 31_000)
    assert figures["facts"]["shared"] == {"own_share": 31 / 40, "others_share": 170 / 200}
    assert figures["facts"]["alone"] == {"own_share": 34 / 40, "others_share": 52 / 200}


@pytest.mark.parametrize(
    ("pooled", "each_alone", "equal"),
    [
        (6_000, 1_000, True),  # the alone models share the federation's tokens
        (6_000, 6_000, True),  # each alone model sees as many as the federation
        (6_005, 1_000, True),  # a last partial batch
        (48_000, 1_000, False),  # eight times the tokens for one arm
        (6_000, 8_000, False),
    ],
)
def test_unequal_tokens_are_seen(pooled, each_alone, equal):
    evidence = sample_evidence()
    arms = {"shared": Arm(tokens=6_000), "pooled": Arm(tokens=pooled)}
    arms |= {alone(member.id): Arm(tokens=each_alone) for member in evidence.members}
    report = build_report(evidence.model_copy(update={"arms": arms}))
    assert report.figures.tokens_equal is equal


def test_a_text_that_was_not_measured_leaves_no_mean_rather_than_a_flattering_one():
    evidence = sample_evidence()
    shared = {text: sums for text, sums in evidence.matrix["shared"].items() if text != "nigeria"}
    figures = build_report(
        evidence.model_copy(update={"matrix": {**evidence.matrix, "shared": shared}})
    ).figures
    assert figures.models["shared"].mean_bpb is None
    assert figures.models["shared"].ratio_to_pooled is None
    assert figures.members["nigeria"].shared_bpb is None


def test_parts_that_were_not_measured_are_absent_not_zero():
    without_compare = small_report().figures
    assert set(without_compare.models) == {"shared"}
    assert without_compare.models["shared"].ratio_to_pooled is None
    assert without_compare.worst_sovereign is None
    assert without_compare.worst_shared is not None
    assert without_compare.tokens_equal is None
    before_the_first_round = bare_report().figures
    assert before_the_first_round.time.tokens_per_s is None
    assert before_the_first_round.cost.bytes_up_per_parameter_round is None

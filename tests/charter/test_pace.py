"""Members of unequal speed: steps in proportion to it, so that all finish together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import DocumentError
from concord.charter.pace import next_times, paced_steps, step_time_us
from concord.charter.run import parse_run

MEMBERS = ("chad", "fiji", "laos", "peru")


def document(members=MEMBERS, quorum="1/2", **changes):
    rounds = {"inner_steps": 20, "count": 9, "quorum": quorum, "pace": "by_speed"}
    roster = [{"id": member} for member in members]
    return parse_run({"name": "tiny", "roster": roster, "rounds": rounds, **changes})


def test_all_finish_when_the_quorum_does():
    times = {"chad": 100, "fiji": 200, "laos": 400, "peru": 2_000}
    # The second of four takes 20 steps of 200 us; the others do what fits into these 4,000 us.
    steps = paced_steps(document(), 0, MEMBERS, times)
    assert steps == {"chad": 20, "fiji": 20, "laos": 10, "peru": 2}


def test_a_quorum_of_all_waits_for_the_slowest_and_of_one_for_nobody():
    times = {"chad": 100, "fiji": 200, "laos": 400, "peru": 2_000}
    assert set(paced_steps(document(quorum="1"), 0, MEMBERS, times).values()) == {20}
    assert paced_steps(document(quorum="1/4"), 0, MEMBERS, times)["peru"] == 1


def test_before_a_quorum_was_measured_all_take_the_same():
    assert paced_steps(document(), 0, MEMBERS, {"chad": 1}) == dict.fromkeys(MEMBERS, 20)
    assert paced_steps(document(), 0, MEMBERS, {"chad": 1, "fiji": 1})["peru"] == 20


def test_an_equal_pace_plans_and_remembers_nothing():
    run = document(rounds={"pace": "equal"})
    assert paced_steps(run, 0, MEMBERS, {"chad": 1}) == {}
    assert next_times(run, {}, merged={"chad": (1.0, 2)}, missed=["fiji"]) == {}


def test_who_misses_a_round_counts_as_twice_as_slow_until_it_is_measured_again():
    run = document()
    times = next_times(run, {}, merged={"chad": (2e-3, 20), "fiji": (4e-3, 20)}, missed=["peru"])
    assert times == {"chad": 100, "fiji": 200, "peru": 400}
    times = next_times(run, times, merged={"chad": (2e-3, 20)}, missed=["peru"])
    assert times == {"chad": 100, "fiji": 200, "peru": 800}
    assert next_times(run, times, merged={"peru": (1e-3, 2)}, missed=[])["peru"] == 500


@given(
    times=st.dictionaries(st.sampled_from(MEMBERS), st.integers(1, 10**12)),
    claim=st.integers(1, 10**12),
    quorum=st.sampled_from(["1/4", "1/2", "3/4", "1"]),
)
def test_one_wrong_claim_of_speed_does_not_shorten_a_round_that_needs_two(times, claim, quorum):
    run = document(quorum=quorum)
    steps = paced_steps(run, 3, MEMBERS, times)
    assert steps.keys() == set(MEMBERS)
    assert all(1 <= count <= 20 for count in steps.values())
    ranked = sorted(times.values())
    lied = paced_steps(run, 3, MEMBERS, {**times, "chad": claim})
    if quorum != "1/4" and len(ranked) == 4 and len(set(ranked)) == 1:
        assert all(lied[other] == 20 for other in MEMBERS[1:])


@pytest.mark.parametrize(
    ("train_s", "steps", "expected"), [(1.0, 4, 250_000), (0.0, 4, 1), (1e300, 1, 10**12)]
)
def test_step_times_are_whole_and_within_bounds(train_s, steps, expected):
    assert step_time_us(train_s, steps) == expected


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"update": {"merge": "krum"}}, "update.merge 'krum' gives one vote each"),
        ({"update": {"norm_control": "clip_to_median"}}, "update.norm_control must be 'none'"),
        ({"update": {"codec": "ring32"}, "seal": {}}, "rounds.pace must be 'equal'"),
    ],
)
def test_what_unequal_steps_do_not_go_with_is_refused(changes, match):
    with pytest.raises(DocumentError, match=match):
        document(members=("chad", "fiji", "laos", "peru", "togo"), **changes)

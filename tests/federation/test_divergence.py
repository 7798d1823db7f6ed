"""A loss that rises to a bad value is told; noise, absence and a new language are not."""

import random
from functools import reduce

import pytest

from concord.federation.divergence import ALARM_NATS, WINDOW_ROUNDS, LossCourse


def course(*rounds):
    return reduce(LossCourse.after, rounds, LossCourse())


def test_a_loss_that_rises_and_stays_there_is_alarming():
    falling = [{"fiji": 8.0 - n, "peru": 7.0 - n} for n in range(5)]
    assert not course(*falling).alarming
    risen = course(*falling, *[{"fiji": 7.5, "peru": 6.5}] * WINDOW_ROUNDS)
    assert risen.alarming
    assert risen.rise_nats == pytest.approx(7.5 - (7 + 6 + 5 + 4 + 7.5) / 5)


def test_sampling_noise_is_not_alarming():
    draw = random.Random(3)
    rounds = [{m: 3.0 + draw.gauss(0, 0.15) for m in ("a", "b", "c")} for _ in range(300)]
    found = LossCourse()
    for losses in rounds:
        found = found.after(losses)
        assert not found.alarming


def test_a_member_with_an_easy_language_may_leave():
    both = [{"easy": 1.0, "hard": 4.0}] * 6
    assert course(*both, *[{"hard": 4.0}] * 9).rise_nats == 0


def test_a_member_that_joins_late_is_compared_with_itself():
    alone = [{"easy": 1.0}] * 9
    assert course(*alone, *[{"easy": 1.0, "hard": 6.0}] * 9).rise_nats == 0


def test_nothing_is_said_before_there_is_something_to_compare_with():
    assert course().rise_nats == 0
    assert course({"a": 2.0}, {"a": 99.0}).rise_nats == 0
    assert ALARM_NATS > 0

"""What norms are compared by follows the schedule, and what error feedback still carries."""

from itertools import pairwise

import pytest

from concord.charter.run import parse_run
from concord.ledger.arithmetic import norm_scale


def document(codec):
    return parse_run(
        {
            "name": "test",
            "roster": [{"id": "chad"}],
            "inner": {"warmup_steps": 100},
            "rounds": {"count": 60, "inner_steps": 20},
            "update": {"codec": codec},
        }
    )


def test_without_feedback_it_is_the_sum_of_the_rounds_rate_factors():
    run = document("int4")
    assert norm_scale(run, 20) == pytest.approx(20.0)
    assert norm_scale(run, 59) < 1.0


def test_with_feedback_a_falling_rate_does_not_make_honest_updates_outliers():
    run = document("sparse")
    scales = [norm_scale(run, round_) for round_ in range(60)]
    ratios = [after / before for before, after in pairwise(scales[5:])]
    assert all(0.9 < ratio < 1.5 for ratio in ratios)
    assert scales[-1] > 50 * norm_scale(document("int4"), 59)

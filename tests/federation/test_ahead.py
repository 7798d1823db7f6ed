"""What a member does while its update travels: mixing, and joining stretches of steps."""

import numpy as np
import pytest

from concord.base.errors import DocumentError
from concord.charter.run import parse_run
from concord.federation.member.ahead import joined, mixed
from concord.train.loop import InnerStats

OWN, BASE = np.array([4.0, -1.0], np.float32), np.array([8.0, 1.0], np.float32)


@pytest.mark.parametrize(
    ("blend", "expected"), [(0.0, [8, 1]), (0.25, [7, 0.5]), (0.5, [6, 0])], ids=str
)
def test_own_weights_keep_their_share_of_what_the_member_goes_on_from(blend, expected):
    assert mixed(OWN, BASE, blend).tolist() == expected


def test_stretches_are_counted_as_one():
    def stretch(losses, tokens):
        stats = InnerStats(len(losses), tokens, 0.5, 6 * tokens, losses, losses)
        return stats, np.array([tokens, 0])

    stats, counts_V = joined([stretch((3.0, 2.0), 8), stretch((), 0), stretch((1.0,), 4)])
    assert (stats.steps, stats.tokens, stats.flops, stats.seconds) == (3, 12, 72, 1.5)
    assert stats.losses == (3.0, 2.0, 1.0)
    assert counts_V.tolist() == [12, 0]


@pytest.mark.parametrize(
    ("rounds", "match"),
    [
        ({"inner_steps": 4, "overlap_steps": 4}, "must be below the 4 steps of a round"),
        ({"first_inner_steps": 2, "overlap_steps": 2}, "must be below the 2 steps of a round"),
        ({"overlap_blend": 0.5}, "overlap_blend needs overlap_steps"),
        ({"overlap_steps": 1, "overlap_blend": 1.0}, "overlap_blend"),
        ({"overlap_steps": 1, "overlap_blend": 0.6}, "outer rate is 1.20, over 1"),
    ],
)
def test_an_overlap_that_cannot_be_is_refused(rounds, match):
    with pytest.raises(DocumentError, match=match):
        parse_run({"name": "tiny", "roster": [{"id": "fiji"}], "rounds": rounds})


def test_a_sealed_run_does_not_overlap():
    members = [{"id": name} for name in ("chad", "fiji", "laos", "peru", "togo")]
    value = {"name": "tiny", "roster": members, "rounds": {"overlap_steps": 1}, "seal": {}}
    with pytest.raises(DocumentError, match=r"rounds\.overlap_steps must be 0"):
        parse_run({**value, "update": {"codec": "ring32"}})

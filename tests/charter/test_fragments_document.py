"""What a run that sends its model in parts cannot have beside it."""

import pytest

from concord.base.errors import DocumentError
from concord.charter.run import parse_run


def document(fragments=2, **sections):
    rounds = {"fragments": fragments, **sections.pop("rounds", {})}
    return parse_run({"name": "tiny", "roster": [{"id": "fiji"}], "rounds": rounds, **sections})


MOMENTUM = {"outer": {"momentum": 0.9}}


@pytest.mark.parametrize(
    ("fragments", "sections", "match"),
    [
        (0, {}, "greater than or equal to 1"),
        (4, {"rounds": {"count": 3}}, "fragments must be at most count"),
        (4, {"model": {"layers": 2}}, "needs model.layers 3 or more"),
        (2, {"update": {"late": "correct", **MOMENTUM}}, "needs update.late 'refuse'"),
        (2, {"update": {"rows": "token_counts"}}, "needs update.rows 'uniform'"),
        (2, {"rounds": {"pace": "by_speed"}}, "needs rounds.pace 'equal'"),
    ],
)
def test_what_does_not_go_with_fragments_is_refused_by_name(fragments, sections, match):
    with pytest.raises(DocumentError, match=match):
        document(fragments, **sections)


def test_all_that_does_not_go_with_them_is_named_at_once():
    with pytest.raises(DocumentError, match=r"'uniform'.*; rounds\.pace 'equal'"):
        document(update={"rows": "token_counts"}, rounds={"pace": "by_speed"})


def test_a_sealed_run_has_one_fragment():
    members = [{"id": name} for name in ("chad", "fiji", "laos", "peru", "togo")]
    with pytest.raises(DocumentError, match=r"rounds\.fragments must be 1"):
        document(roster=members, seal={}, update={"codec": "ring32"})


@pytest.mark.parametrize(
    "sections",
    [
        {"rounds": {"overlap_steps": 3}},
        {"update": {"codec": "sparse", "down_codec": "sparse"}},
        {"update": {"merge": "rda", "norm_control": "clip_groups", **MOMENTUM}},
        {"model": {"continue_from": "model", "layers": 1}},
    ],
)
def test_all_else_goes_with_them(sections):
    assert document(4, **sections).rounds.fragments == 4

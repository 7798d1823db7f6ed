"""Sealed mode keeps its restrictions by validation: a document that breaks one is no document."""

import pytest

from concord.base.errors import DocumentError
from concord.charter.run import parse_run
from concord.charter.run_rules import cohort_count

FIVE = ["chad", "fiji", "iran", "laos", "peru"]


def sealed(members=FIVE, *, seal=None, owners=(), **sections):
    value = {
        "name": "test",
        "roster": [{"id": m, "owner": dict(owners).get(m, "")} for m in members],
        "update": {"codec": "ring16"},
        "seal": seal or {},
    }
    for name, section in sections.items():
        value[name] = {**value.get(name, {}), **section}
    return parse_run(value)


def test_a_document_with_a_section_seal_is_sealed_and_without_it_open():
    assert sealed().mode == "sealed"
    assert parse_run({"name": "test", "roster": [{"id": "chad"}]}).mode == "open"


@pytest.mark.parametrize(
    ("sections", "fault"),
    [
        ({"update": {"codec": "int8"}}, "update.codec must be 'ring16' or 'ring32'"),
        ({"update": {"codec": "sparse"}}, "update.codec must be 'ring16' or 'ring32'"),
        ({"update": {"merge": "rda"}}, "update.merge must be 'mean'"),
        ({"update": {"rows": "token_counts"}}, "update.rows must be 'uniform'"),
        ({"update": {"norm_control": "clip_to_median"}}, "update.norm_control must be 'none'"),
        ({"gate": {"enabled": True}}, "gate.enabled measures single updates"),
        ({"update": {"min_norm_ratio": 0.5}}, "cannot be held against single updates"),
        ({"inner": {"state": {"mode": "averaged"}}}, "inner.state.mode must be"),
        ({"tokenizer": {"parallel": None}}, "tokenizer.parallel"),
        ({"seal": {"lone_languages": {"fij": 1}}}, "seal.lone_languages names fij"),
        ({"seal": {"ring_bits": 8}}, "seal.ring_bits: unknown key"),
        ({"seal": {"min_survivors": 2}}, "seal.min_survivors"),
        ({"seal": {"min_contributors": 2}}, "seal.min_contributors"),
    ],
)
def test_what_needs_to_look_at_single_updates_is_refused(sections, fault):
    with pytest.raises(DocumentError, match=fault):
        sealed(**sections)


def test_all_faults_are_named_at_once():
    with pytest.raises(DocumentError, match=r"update\.codec.*update\.merge.*norm_control"):
        sealed(update={"codec": "int8", "merge": "rda", "norm_control": "scale_to_median"})


def test_fewer_than_five_members_are_refused_unless_a_lower_minimum_is_named():
    with pytest.raises(DocumentError, match=r"4 members in the roster.*min_survivors is 5"):
        sealed(FIVE[:4])
    assert sealed(FIVE[:4], seal={"min_survivors": 4}).seal.min_survivors == 4
    assert sealed(FIVE[:3], seal={"min_survivors": 3}).mode == "sealed"


def test_a_ring_codec_without_the_section_is_refused():
    with pytest.raises(DocumentError, match=r"needs a section \[seal\]"):
        parse_run({"name": "t", "roster": [{"id": "chad"}], "update": {"codec": "ring16"}})


def test_one_owner_cannot_have_two_members_in_one_cohort():
    owners = {"fiji": "ocean", "iran": "ocean"}
    with pytest.raises(DocumentError, match="'ocean' owns 2 members"):
        sealed(owners=owners)
    many = [f"m{number:02}" for number in range(16)]
    two = {"m00": "ocean", "m01": "ocean"}
    assert sealed(many, owners=two).mode == "sealed", "two cohorts keep them apart"


def test_a_roster_is_divided_once_it_is_twice_the_target():
    assert [cohort_count(n, 8) for n in (5, 15, 16, 23, 24, 200)] == [1, 1, 2, 2, 3, 25]

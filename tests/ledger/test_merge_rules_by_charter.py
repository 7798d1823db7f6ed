"""A robust merge rule is there for a run only if the members' charter names it."""

import pytest

from concord.base.errors import StatementRefused
from concord.testing.history import History

MEMBERS = ("chad", "fiji", "iran")


@pytest.mark.parametrize("rule", ["krum", "coordinate_median", "nnm_trimmed_mean"])
def test_a_run_with_a_rule_that_the_charter_does_not_name_is_refused(tmp_path, rule):
    history = History(tmp_path, MEMBERS, merge_rules=["mean", "rda"])
    with pytest.raises(
        StatementRefused, match=r"update\.merge: is .* the charter allows mean, rda"
    ):
        history.adopt(update={"merge": rule})


def test_a_run_with_a_rule_that_the_charter_names_is_adopted(tmp_path):
    history = History(tmp_path, MEMBERS, merge_rules=["mean", "trimmed_mean"])
    assert history.adopt(update={"merge": "trimmed_mean"}).run.update.merge == "trimmed_mean"


def test_a_rule_that_gives_all_to_one_needs_a_cap_of_one(tmp_path):
    history = History(tmp_path, MEMBERS, owner_cap="1/2")
    with pytest.raises(StatementRefused, match="krum can give one owner more than the cap"):
        history.adopt(update={"merge": "krum", "owner_cap": "1/2"})

"""What pages answer, against what was done to make their federation (`pagelab.rich_history`)."""

import copy
import dataclasses

import pytest
from pagelab import DAY

from concord.observatory.pages.auditor import auditor
from concord.observatory.pages.decisions import decisions
from concord.observatory.pages.member import member
from concord.observatory.pages.people import people
from concord.observatory.pages.public import citizen
from concord.observatory.pages.regulator import endings


def page_of(source, name):
    return member(source, next(one for one in people(source) if one.id == name))


def test_a_members_page_tells_its_grants_its_refusals_and_what_went_on_without_it(source):
    chad, fiji, peru = (page_of(source, name) for name in ("chad", "fiji", "peru"))
    assert [one.merged for one in (chad, fiji, peru)] == [3, 2, 2]
    assert [(one.granted, one.refused) for one in (chad, fiji, peru)] == [(3, 0), (2, 0), (2, 1)]
    (refusal,) = peru.refusals
    assert refusal.reason.startswith("policy: ")
    assert refusal.rounds == (2,)
    assert [(one.reason, one.rounds) for one in peru.missed] == [("declined", (2,))]
    assert [one.rounds for one in fiji.missed] == [(3,)]
    assert chad.missed == ()


def test_the_auditors_page_names_the_same_absences_as_the_members_own(source):
    own = [one for name in ("chad", "fiji", "peru") for one in page_of(source, name).missed]
    assert list(auditor(source).left_out) == own


def test_an_open_vote_is_due_for_whoever_has_a_say_with_the_ballot_that_was_cast(source):
    assert [one.cast for one in page_of(source, "chad").due] == ["abstain"]
    assert [one.cast for one in page_of(source, "peru").due] == [""]
    (vote,) = decisions(source).open
    assert vote.missing == ("fiji", "peru")


@pytest.mark.parametrize(("silent", "passed"), [((), True), (("fiji", "peru"), False)])
def test_a_checkpoint_counts_as_good_only_with_a_quorum_of_witnesses(
    history, source, silent, passed
):
    archive = copy.copy(source.archive)
    archive.note = history.note(without=silent)
    steps = {one.name: one for one in auditor(dataclasses.replace(source, archive=archive)).steps}
    assert steps["checkpoint"].passed is passed
    assert f"cosigned by {3 - len(silent)} of 3 members, 2 needed" in steps["checkpoint"].found
    assert steps["bases"].passed is None


def test_objections_that_wait_come_before_those_that_were_answered(source):
    shown = citizen(source).objections
    assert [(one.book.to, one.book.outcome) for one in shown] == [("chad", ""), ("peru", "upheld")]
    assert not shown[0].overdue
    late = dataclasses.replace(source, made=source.made + 2 * DAY)
    assert [one.overdue for one in citizen(late).objections] == [True, False]


def test_what_is_to_come_stands_before_what_is_over_and_the_nearest_first(source):
    passed = {one.at for one in endings(source)}
    between = sorted(passed)[len(passed) // 2] - 1
    found = endings(dataclasses.replace(source, made=between))
    to_come, over = ([one.at for one in found if one.over is gone] for gone in (False, True))
    assert to_come
    assert over
    assert [one.at for one in found] == sorted(to_come) + sorted(over, reverse=True)


def test_bases_count_as_computed_again_only_if_the_log_has_not_gone_on_since(source):
    ((document, seat),) = source.state.runs.items()
    run = {"document": document, "computed_again": True}
    for base, again in ((seat.base, True), (seat.first_base, False)):
        verdict = {"steps": [], "runs": [run | {"base": base}]}
        shown = auditor(dataclasses.replace(source, verdict=verdict))
        assert (shown.verified, shown.runs[0].computed_again) == (again, again)

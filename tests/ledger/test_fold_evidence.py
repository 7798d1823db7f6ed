"""Records of data, evidence of gates, releases; each refusal."""

import pytest
from foldlab import Fold, some

from concord.ledger.statements import evidence, votes


@pytest.fixture
def fold(tmp_path):
    return Fold(tmp_path)


def release(decision, **changes):
    fields = {"version": "1.0", "model": some("model"), "manifest": some("m"), "decision": decision}
    return evidence.Release(**{**fields, **changes})


def test_a_dataset_is_recorded_changed_and_revoked_by_its_member(fold):
    for record in ("one", "two"):
        fold.say(evidence.DatasetRecord(dataset="news", record=some(record)), "fiji")
    assert fold.state.datasets["fiji"] == {"news": some("two")}
    gone = evidence.DatasetRecord(dataset="news", record=some("two"), revoked=True)
    fold.refuse("'news' was not recorded", gone, "chad")
    fold.say(gone, "fiji")
    assert fold.state.datasets["fiji"] == {}
    assert fold.state.revoked_datasets["fiji"] == {"news": some("two")}
    fold.refuse("'news' was not recorded", gone, "fiji")


def test_the_last_result_of_a_runner_stands_beside_those_of_others(fold):
    for member, result in (("chad", "failed"), ("fiji", "passed"), ("chad", "passed")):
        body = evidence.GateEvidence(
            gate="floor", model=some("model"), evidence=some(member), result=result
        )
        fold.say(body, member)
    found = fold.state.evidence[some("model")]["floor"]
    assert {name: seat.result for name, seat in found.items()} == {
        "chad": "passed",
        "fiji": "passed",
    }
    assert found["chad"].evidence == some("chad")


def test_a_version_is_published_once_and_only_by_an_adopted_decision(fold):
    change = votes.ReleaseModel(version="1.0", model=some("model"))
    fold.refuse("no adopted decision", release(some("nothing")), role="coordinator")
    decision = fold.adopt(change)
    for wrong in ({"version": "2.0"}, {"model": some("other")}):
        fold.refuse("no adopted decision", release(decision, **wrong), role="coordinator")
    fold.say(release(decision), role="coordinator")
    assert fold.state.releases == {"1.0": some("model")}
    fold.refuse("was published before", release(decision), role="coordinator")


def test_a_decision_of_another_kind_publishes_nothing(fold):
    decision = fold.adopt(votes.Ordinary())
    fold.refuse("no adopted decision", release(decision), role="coordinator")

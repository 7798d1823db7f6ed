"""`concord seal score`: who could be told apart by now, from the log alone."""

import json

import pytest
from clilab import concord

from concord.base.errors import SealRefused
from concord.testing.history import History
from concord.testing.sealed_history import SealedHistory, sealed_run

MEMBERS = ("chad", "fiji", "iran", "laos", "peru", "togo")


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """Two rounds of all members, and one without Iran."""
    root = tmp_path_factory.mktemp("sealed")
    history = History(root, MEMBERS, modes='["open", "sealed"]')
    run = SealedHistory(history, sealed_run(MEMBERS))
    run.open_epoch()
    run.round_of()
    run.round_of()
    run.round_of(dropped=["iran"])
    return history.publish()


def scores(capsys, *arguments):
    said = concord(capsys, "seal", "score", *arguments, "--json")
    assert said.status == 0
    (found,) = json.loads(said.out)["runs"].values()
    return {one["member"]: one for one in found}


def test_who_dropped_out_can_be_told_apart_and_nobody_else(federation, capsys):
    found = scores(capsys, federation)
    assert found["iran"]["sums"] == 2 and found["chad"]["sums"] == 3
    assert found["iran"]["different_sums"] == 2
    # Weights 1/2, 1/2 and -1 on sums of 6, 6 and 5: noise 8, SNR = 0.25 / 8.
    assert found["iran"]["score"] == pytest.approx((0.03125 / 1.03125) ** 0.5, abs=1e-3)
    assert all(found[member]["score"] == 0 for member in MEMBERS if member != "iran")


def test_the_more_stays_the_same_the_more_is_told(federation, capsys):
    found = [scores(capsys, federation, "--rho", rho)["iran"]["score"] for rho in (0, 0.5, 1)]
    assert found[0] == 0 and 0 < found[1] < 1 and found[2] == 1


def test_it_is_told_in_plain_lines(federation, capsys):
    said = concord(capsys, "seal", "score", federation, "--limit", "0.1")
    assert said.status == 0
    assert "iran  2 sums  2 different  score 0.17" in said.out


def test_a_run_that_is_not_there_is_refused(federation, capsys):
    said = concord(capsys, "seal", "score", federation, "--run", "other")
    assert said.status == 9 and "there is no such run" in said.err


@pytest.mark.parametrize("rho", ["-1", "2", "x"])
def test_a_share_out_of_range_is_refused(federation, capsys, rho):
    assert concord(capsys, "seal", "score", federation, "--rho", rho).status == 2


def test_a_member_that_could_be_told_apart_stays_out(tmp_path):
    """The member itself refuses, before anything of it is masked; the others go on."""
    history = History(tmp_path, MEMBERS, modes='["open", "sealed"]')
    document = sealed_run(MEMBERS, seal={"leak_limit": 0.1, "leak_constancy": 0.2})
    run = SealedHistory(history, document)
    run.open_epoch()
    run.round_of()
    run.round_of(dropped=["iran"])
    run.call()
    # Sums of 6 and of 5 without it: noise 11, SNR = 0.25 / 11.
    with pytest.raises(SealRefused, match=r"mean update with a score of 0\.15"):
        run.pens["iran"].set_up(run.round)
    run.set_up(*(member for member in MEMBERS if member != "iran"))

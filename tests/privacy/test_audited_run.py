"""A whole run with processes: one member is held back by its audit, one has no budget left."""

import json

import pytest

from concord.base.clock import SystemClock
from concord.base.errors import DocumentError
from concord.cli.main import main
from concord.federation.records import RunFolder
from concord.ledger.entries import Entry
from concord.ledger.reader import LogReader
from concord.ledger.verify import Verification


def said(root, kind, member):
    entries = (Entry.parse(data).statement for data in LogReader(root / "log").entries())
    return [s.body for s in entries if s.author.party == member and kind == s.body.KIND]


@pytest.mark.processes
def test_a_refusal_names_the_limit_and_the_round_goes_on_without_it(atlas):
    root, run = atlas
    records = [record for _, record in RunFolder(root, run.name).records()][1:]
    assert [sorted(record.contributions) for record in records] == [["fiji", "togo"]] * 2
    assert len(said(root, "grant", "laos")) == 2 and not said(root, "update-header", "laos")
    for refusal in said(root, "refusal", "laos"):
        assert refusal.rules == ("audit.mia_auc",)
        assert refusal.reason.endswith("own limit of mia_auc")


@pytest.mark.processes
def test_a_budget_of_zero_is_refused_by_name_before_anything_is_trained(atlas):
    root, _ = atlas
    refusals = said(root, "refusal", "peru")
    assert len(refusals) == 2 and not said(root, "grant", "peru")
    assert all("dataset clinics is spent" in refusal.reason for refusal in refusals)


@pytest.mark.processes
def test_what_a_member_spends_is_in_the_log_and_grows(atlas):
    root, _ = atlas
    told = [header.privacy[0] for header in said(root, "update-header", "togo")]
    assert [one.steps for one in told] == [3, 6]
    assert 0 < told[0].epsilon < told[1].epsilon <= 60


@pytest.mark.processes
def test_a_stranger_verifies_it_all(atlas, tmp_path):
    root, _ = atlas
    found = Verification(root, workdir=tmp_path, clock=SystemClock())
    found.run()
    assert all(step.passed for step in found.steps)


def concord(capsys, *arguments):
    status = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        status = done.code
    return status or 0, capsys.readouterr()


@pytest.mark.processes
def test_canaries_shown_later_are_those_that_every_grant_committed_to(atlas, tmp_path, capsys):
    root, _ = atlas
    named = {grant.canaries for grant in said(root, "grant", "laos")}
    assert len(named) == 1 and named != {None}
    assert {grant.canaries for grant in said(root, "grant", "fiji")} == {None}
    shown = tmp_path / "laos.canaries"
    status, _ = concord(capsys, "canaries", "disclose", root, "--as", "laos", "--out", shown)
    assert status == 0
    asked = ("canaries", "check", root, shown, "--as")
    status, found = concord(capsys, *asked, "laos", "--json")
    assert status == 0 and json.loads(found.out)["round"] == 1
    status, found = concord(capsys, *asked, "fiji")
    assert status == 10 and "committed to no canaries" in found.err
    value = json.loads(shown.read_text())
    shown.write_text(json.dumps(value | {"secret": "00" * 32}))
    status, found = concord(capsys, *asked, "laos")
    assert status == 10 and "not the canaries" in found.err
    for wrong in ({"count": 10**12}, {"length": 10**9}, {"secret": "zz"}, {"more": 1}):
        shown.write_text(json.dumps(value | wrong))
        status, found = concord(capsys, *asked, "laos")
        assert status == DocumentError.exit_status and "shows no canaries" in found.err

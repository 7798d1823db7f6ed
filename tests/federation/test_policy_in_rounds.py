"""Policies in real rounds: they go on without whoever refuses, and all of it is said."""

import io
import json
from contextlib import redirect_stdout, suppress

import pytest
from consentlab import keep_record, record
from scriptedlab import MEMBERS, Federation, document
from sealedlab import SealedFederation, sealed_document

from concord.base.clock import SystemClock
from concord.base.digest import digest_bytes
from concord.cli.main import main
from concord.federation.folders import FederationFolder
from concord.federation.office import Office
from concord.federation.records import RunFolder
from concord.federation.watcher import Watcher
from concord.ledger.archive import Archive
from concord.ledger.past import past_answers
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.statements.evidence import DatasetRecord
from concord.ledger.statements.rounds import Granted, MeasureRefused, Refused

pytestmark = pytest.mark.processes
DATA = record("news", "fiji")
RECORD = digest_bytes(DATA)
ROUNDS = 4
OPEN = '@id("open") permit (principal, action, resource);\n'
NEVER_MEASURE = (
    '@id("no-measuring") forbid (principal, action == Concord::Action::"evaluate", resource);'
)


@pytest.fixture
def federation(tmp_path):
    return Federation(tmp_path)


def office(federation):
    return Office(FederationFolder(federation.root), SystemClock())


def said(federation, kind, member="fiji"):
    """Bodies of a kind by a member, by round."""
    return {
        entry.statement.binding.round: entry.statement.body
        for entry in office(federation).entries
        if isinstance(entry.statement.body, kind) and entry.statement.author.party == member
    }


def write_policy(federation, text, member="fiji"):
    FederationFolder(federation.root).member(member).policy.write_text(text)


class WhenCommitted(Watcher):
    """Does something once a round is in the log, while the run goes on."""

    def __init__(self, round_, deed):
        self.round, self.deed = round_, deed

    def committed(self, record):
        if record.round == self.round:
            self.deed()


def test_every_grant_names_the_policy_file_and_the_rule_that_permits(federation):
    federation.run(document(count=ROUNDS))
    for member in MEMBERS:
        policy = FederationFolder(federation.root).member(member).policy.read_bytes()
        grants = said(federation, Granted, member)
        assert set(grants) == set(range(ROUNDS))
        for body in grants.values():
            assert body.policy == digest_bytes(policy)
            assert body.rules == ("undescribed-for-open-models",)


def test_a_revocation_takes_effect_at_the_next_round_without_anyones_consent(federation):
    keep_record(FederationFolder(federation.root).member("fiji"), "news", DATA)
    office(federation).say(DatasetRecord(dataset="news", record=RECORD), party="fiji")

    def revoke():
        filed = office(federation).say(
            DatasetRecord(dataset="news", record=RECORD, revoked=True), party="fiji"
        )
        assert filed.index is None, "the run holds the log: the coordinator takes it up"

    records = federation.run(document(count=ROUNDS), watcher=WhenCommitted(2, revoke))
    assert [("fiji" in record.contributions) for record in records[1:]] == [True] * 2 + [False] * 2
    assert all(set(r.contributions) >= set(MEMBERS) - {"fiji"} for r in records[1:])
    grants = said(federation, Granted)
    assert all(body.dataset_records == (RECORD,) for body in grants.values())
    assert all(body.rules == ("as-described",) for body in grants.values())
    refusals = said(federation, Refused)
    assert set(refusals) == {2, 3}
    for body in refusals.values():
        assert body.rules == ("charter-revoked",)
        assert body.reason == "policy: news: charter-revoked"
        assert body.dataset_records == (RECORD,)
    assert records[3].left_out["fiji"] == "declined: policy: news: charter-revoked"
    _check_the_past(federation)


def _check_the_past(federation):
    """The same file gives the same answers; a closed one would have refused the first rounds."""
    folder = FederationFolder(federation.root)
    archive = Archive(folder.log, ObjectLibrary(folder.objects))
    past = past_answers(archive.entries, ObjectLibrary(folder.objects), "fiji")
    assert [(one.asked.round, one.allowed) for one in past] == [
        (0, True), (1, True), (2, False), (3, False)]  # fmt: skip
    assert all(one.by_policy for one in past)
    assert _what_if(federation, folder.member("fiji").policy) == []
    closed = federation.root / "closed.cedar"
    closed.write_text('@id("closed") forbid (principal, action, resource);')
    changed = _what_if(federation, closed)
    assert [(one["round"], one["with_it"]["rules"]) for one in changed] == [
        (1, ["closed"]), (2, ["closed"])]  # fmt: skip


def _what_if(federation, policy):
    out = io.StringIO()
    with redirect_stdout(out), suppress(SystemExit):
        main(["policy", "what-if", str(federation.root), "--as", "fiji",
              "--policy", str(policy), "--json"])  # fmt: skip
    return json.loads(out.getvalue())["changed"]


def test_a_policy_changed_after_the_grant_takes_it_back_before_text_is_read(federation):
    federation.script("fiji", change_policy=1)
    records = federation.run(document(count=ROUNDS))
    assert records[2].left_out["fiji"] == "declined: policy: it was changed after the grant"
    assert "fiji" in records[3].contributions, "the next round is decided by the new file"
    grants = said(federation, Granted)
    assert grants[1].policy != grants[2].policy


def test_a_member_that_does_not_measure_says_so_and_the_run_ends(federation):
    write_policy(federation, OPEN + NEVER_MEASURE)
    records = federation.run(document(count=ROUNDS, min_grace_s=600.0))
    assert "fiji" in records[-1].contributions
    measured = {member for member, _ in RunFolder(federation.root, "test").evaluations()}
    assert measured == set(MEMBERS) - {"fiji"}
    refusals = said(federation, MeasureRefused)
    assert set(refusals) == {2, 4}
    assert all(body.rules == ("no-measuring",) for body in refusals.values())


def test_a_member_without_a_policy_refuses_every_round_aloud(federation):
    FederationFolder(federation.root).member("fiji").policy.unlink()
    records = federation.run(document(count=ROUNDS))
    assert all("fiji" not in record.contributions for record in records)
    assert set(said(federation, Refused)) == set(range(ROUNDS))


SEALED_ONLY = (
    '@id("sealed-only") forbid (principal, action == Concord::Action::"train", resource)'
    " unless { context.secure_aggregation };"
)


def test_a_member_that_demands_sealing_is_in_no_open_round(federation):
    write_policy(federation, OPEN + SEALED_ONLY)
    records = federation.run(document(count=1))
    assert records[1].left_out["fiji"] == "declined: policy: undescribed: sealed-only"


def test_a_member_that_demands_sealing_is_in_a_sealed_round(tmp_path):
    federation = SealedFederation(tmp_path / "sealed")
    write_policy(federation, OPEN + SEALED_ONLY)
    records = federation.run(sealed_document(rounds=1))
    assert "fiji" in records[1].contributions
    (grant,) = said(federation, Granted).values()
    assert grant.rules == ("open",)

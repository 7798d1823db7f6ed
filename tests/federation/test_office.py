"""Single statements at the desk: filed, handed in, signed by several, refused."""

import shutil

import pytest

from concord.base.errors import KeyRefused, LogCorrupt, LogHeld, StatementRefused
from concord.charter.bundle import load_bundle, store_bundle
from concord.crypto.keys import PublicKey
from concord.federation.folders import FederationFolder
from concord.federation.office import Office
from concord.ledger.archive import Archive
from concord.ledger.inbox import Inbox
from concord.ledger.keyring import MEMBER_KEYS
from concord.ledger.log import JOURNAL, open_log
from concord.ledger.statements.evidence import DatasetRecord
from concord.ledger.statements.membership import CoordinatorEntry, Handover, KeyRotation
from concord.ledger.statements.oversight import Halt
from concord.ledger.statements.votes import Amend, Ballot, Ordinary, Proposal, Ratification
from concord.testing.founded import charter_toml, found
from concord.testing.hand_clock import HandClock

MEMBERS = ("chad", "fiji", "peru", "togo")
RECORD = "sha256:" + "1" * 64


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def office(tmp_path, clock):
    return found(tmp_path / "atlas", MEMBERS, overseers=("ada", "bo"), clock=clock)


def again(office, clock):
    """The same folder, opened anew."""
    return Office(office.federation, clock)


def word():
    return DatasetRecord(dataset="news", record=RECORD)


def archive(office):
    return Archive(office.federation.log, office.library)


def test_a_statement_is_in_the_log_and_published_under_all_witnesses(office):
    filed = office.say(word(), party="fiji")
    assert filed.index == 1
    found_ = archive(office)
    assert found_.state.digest == office.state.digest
    assert set(found_.replica.witnesses(found_.note)) == set(MEMBERS)


def test_a_refused_statement_leaves_log_and_inbox_as_they_were(office):
    before = sorted(p for p in office.federation.log.rglob("*") if p.is_file())
    with pytest.raises(StatementRefused, match="no such proposal"):
        office.say(Ballot(proposal=RECORD, choice="yes"), party="fiji")
    assert sorted(p for p in office.federation.log.rglob("*") if p.is_file()) == before
    assert archive(office).replica.size == 1


def test_a_statement_from_the_future_is_refused_and_one_within_the_skew_is_not(office, clock):
    clock.now_s += 601
    entry = office.draft(word(), party="fiji")
    soon = office.draft(word(), party="peru")
    clock.now_s -= 601
    with pytest.raises(StatementRefused, match="is from the future: 601 s ahead"):
        office.file(entry)
    clock.now_s += 1
    assert office.file(soon).index == 1


def test_a_key_that_is_not_here_signs_nothing(office):
    shutil.rmtree(office.federation.member("fiji").private)
    with pytest.raises(KeyRefused, match="is not there"):
        office.say(word(), party="fiji")


def test_while_another_process_writes_statements_wait_in_their_order(office, clock):
    with open_log(office.federation.log):
        body = Proposal(title="x", change=Ordinary(), closes=office.now() + 900)
        first = office.say(body, party="chad")
        proposal = first.entry.statement.digest
        second = office.say(Ballot(proposal=proposal, choice="yes"), party="fiji")
    third = office.say(Ballot(proposal=proposal, choice="yes"), party="peru")
    assert [filed.index for filed in (first, second, third)] == [None] * 3
    assert first.waits_at.exists()
    filed, refused = again(office, clock).take_inbox()
    assert [f.entry.statement.kind for f in filed] == ["proposal", "ballot", "ballot"]
    assert not refused
    assert not Inbox(office.federation.log / "inbox").waiting()


def test_the_inbox_is_not_taken_from_a_process_that_writes(office):
    with open_log(office.federation.log), pytest.raises(LogHeld):
        office.take_inbox()


def test_what_waited_and_may_not_enter_stays_beside_the_log_with_the_reason(office, clock):
    inbox = Inbox(office.federation.log / "inbox")
    inbox.hand_in(b"rubbish")
    inbox.hand_in(office.entries[0].data)
    filed, refused = office.take_inbox()
    assert not filed
    assert len(refused) == 1, "the founding statement is in the log already"
    assert "not strict JSON" in refused[0][1]
    assert inbox.refused() == refused


def test_an_entry_that_a_crash_left_in_the_inbox_is_not_refused(office, clock):
    data = office.say(word(), party="fiji").entry.data
    inbox = Inbox(office.federation.log / "inbox")
    inbox.hand_in(data)
    assert again(office, clock).take_inbox() == ([], [])
    assert not inbox.refused()
    assert not inbox.waiting()


def test_what_was_appended_before_a_crash_and_not_published_is_found_and_published(office, clock):
    entry = office.draft(word(), party="fiji")
    with open_log(office.federation.log) as log:
        log.append([entry.data])
    assert archive(office).replica.size == 1
    later = again(office, clock)
    assert later.state.size == 2
    later.say(word(), party="peru")
    assert archive(office).replica.size == 3


# --- without the log's key ----------------------------------------------------------------------


@pytest.fixture
def elsewhere(office, tmp_path, clock):
    """The machine of fiji: a published copy of the federation, and fiji's keys."""
    root = tmp_path / "elsewhere"
    shutil.copytree(office.federation.root, root)
    for member in ("chad", "peru", "togo"):
        shutil.rmtree(root / "members" / member / "private")
    shutil.rmtree(root / "overseers")
    for name in (JOURNAL, "lock"):
        (root / "log" / name).unlink()
    return Office(FederationFolder(root), clock)


def test_on_a_machine_without_the_logs_key_a_statement_is_handed_in(office, elsewhere):
    before = elsewhere.federation.log.joinpath("checkpoint").read_bytes()
    filed = elsewhere.say(word(), party="fiji")
    assert filed.index is None
    assert elsewhere.federation.log.joinpath("checkpoint").read_bytes() == before
    assert not (elsewhere.federation.log / JOURNAL).exists()
    with pytest.raises(KeyRefused, match="the log's key is at 'chad', not here"):
        elsewhere.take_inbox()
    Inbox(office.federation.log / "inbox").hand_in(filed.waits_at.read_bytes())
    (filed_there,), _ = office.take_inbox()
    assert filed_there.index == 1


def handover(office, member, manner="takeover"):
    ring = office.federation.member(member).keys
    key = ring.load("log").public.text
    return Handover(
        manner=manner,
        term=office.state.term + 1,
        coordinator=CoordinatorEntry(member=member, log_key=key),
    )


def test_signatures_are_gathered_from_machine_to_machine_and_the_role_is_taken(
    office, elsewhere, clock, tmp_path
):
    draft = elsewhere.draft(handover(elsewhere, "fiji"), party="fiji")
    assert elsewhere.gathering(draft).words == (
        "signed by fiji; 2 more needed (may sign: chad, peru, togo)"
    )
    with pytest.raises(StatementRefused, match="signed by 1 of the keys that count"):
        elsewhere.file(draft)
    for member in ("peru", "togo"):
        draft = office.sign(draft, member)
    filed = elsewhere.file(draft)
    assert filed.index == 1
    assert elsewhere.state.coordinator.member == "fiji"
    found_ = archive(elsewhere)
    assert found_.state.coordinator.member == "fiji"
    assert set(found_.replica.witnesses(found_.note)) == {"fiji"}
    assert elsewhere.say(word(), party="fiji").index == 2


def test_the_earlier_coordinator_writes_no_more_where_it_knows_of_the_takeover(
    office, elsewhere, clock
):
    draft = elsewhere.draft(handover(elsewhere, "fiji"), party="fiji")
    for member in ("peru", "togo"):
        draft = office.sign(draft, member)
    shutil.rmtree(office.federation.member("fiji").private)
    assert office.file(draft).index is None, "the log is fiji's to write from here on"
    assert office.say(word(), party="peru").index is None
    assert archive(office).replica.size == 1


def test_nobody_signs_what_is_of_another_federation_or_not_for_it(office, tmp_path, clock):
    other = found(tmp_path / "other", MEMBERS, clock=clock)
    draft = other.draft(handover(other, "fiji"), party="fiji")
    with pytest.raises(StatementRefused, match="belongs to another federation"):
        office.sign(draft, "chad")
    mine = office.draft(handover(office, "fiji"), party="fiji")
    with pytest.raises(StatementRefused, match="'ada' has no signature to give here"):
        office.sign(mine, "ada")


def test_several_whose_keys_lie_here_sign_at_once(office):
    also = [office.keys_of(m).load("identity") for m in ("peru", "togo")]
    filed = office.say(handover(office, "fiji"), party="fiji", also=also)
    assert filed.index == 1
    assert office.state.coordinator.member == "fiji"


# --- keys ---------------------------------------------------------------------------------------


def rotate(office, party, purpose="identity"):
    ring = office.keys_of(party)
    old, new = ring.load(purpose), ring.prepare(purpose)
    body = KeyRotation(purpose=purpose, old=old.public.text, new=new.public.text)
    return office.draft(body, party=party, also=[old, new])


def test_after_a_rotation_the_files_follow_and_the_party_goes_on(office):
    old = office.keys_of("fiji").load("identity").public
    office.file(rotate(office, "fiji"))
    assert office.say(word(), party="fiji").index == 2
    assert office.keys_of("fiji").load("identity").public != old


def test_after_a_rotation_of_its_witness_key_a_member_cosigns_with_the_new_one(office):
    office.file(rotate(office, "fiji", "witness"))
    office.say(word(), party="peru")
    found_ = archive(office)
    key = office.federation.member("fiji").keys.load("witness").public
    assert PublicKey.parse(found_.state.witness_keys()["fiji"]) == key
    assert set(found_.replica.witnesses(found_.note)) == set(MEMBERS)


def test_a_rotation_that_waits_changes_no_file_until_it_is_in_the_log(office, clock):
    ring = office.federation.member("fiji").keys
    old = ring.load("identity").public
    with open_log(office.federation.log):
        assert office.file(rotate(office, "fiji")).index is None
    assert ring.load("identity").public == old
    later = again(office, clock)
    later.take_inbox()
    later.say(word(), party="fiji")
    assert ring.load("identity").public != old


def test_a_crash_between_the_log_and_the_files_is_made_good(office, clock):
    entry = rotate(office, "fiji")
    with open_log(office.federation.log) as log:
        log.append([entry.data])
    assert again(office, clock).say(word(), party="fiji").index == 2


def test_a_crash_before_the_log_leaves_the_old_key_and_the_next_try_uses_the_prepared_one(
    office, clock
):
    prepared = office.keys_of("fiji").prepare("identity").public
    assert again(office, clock).say(word(), party="fiji").index == 1
    office = again(office, clock)
    office.file(rotate(office, "fiji"))
    assert office.keys_of("fiji").load("identity").public == prepared


def test_a_witness_key_that_the_log_does_not_know_cosigns_nothing(office):
    ring = office.federation.member("fiji").keys
    ring.path("witness").unlink()
    ring.create(*MEMBER_KEYS)
    office.say(word(), party="peru")
    found_ = archive(office)
    assert set(found_.replica.witnesses(found_.note)) == {"chad", "peru", "togo"}


# --- time ---------------------------------------------------------------------------------------


def test_a_charter_that_came_into_force_by_time_binds_the_next_statement(tmp_path, clock):
    office = found(tmp_path / "atlas", MEMBERS, clock=clock, amend_delay="1d")
    text = charter_toml(quorum="1/3", amend_delay="1d")
    (office.federation.charter / "charter.toml").write_text(text)
    later = store_bundle(load_bundle(office.federation.charter), office.federation.objects)
    change = Amend(before=office.state.charter, charter=later)
    body = Proposal(title="x", change=change, closes=office.now() + 900)
    proposal = office.say(body, party="chad").entry.statement.digest
    for member in MEMBERS:
        office.say(Ballot(proposal=proposal, choice="yes"), party=member)
    office.decide(proposal, party="chad")
    for member in MEMBERS:
        office.say(Ratification(ratified=later), party=member)
    clock.now_s += 86_401
    assert office.state_now.charter == later
    office.say(word(), party="fiji")
    assert office.state.charter == later


def test_a_halt_is_over_when_its_time_is(office, clock):
    body = Halt(scope="all", ground="fire", reason="", until=office.now() + 3600)
    office.say(body, party="ada", role="overseer")
    assert office.state.halt_of_all(office.now())
    clock.now_s += 3600
    assert not office.state.halt_of_all(office.now())


def test_a_folder_that_may_not_be_written_can_still_be_read(office, clock):
    office.federation.log.chmod(0o555)
    try:
        assert archive(office).replica.size == 1
    finally:
        office.federation.log.chmod(0o755)


# --- cosignatures -------------------------------------------------------------------------------


def test_a_member_elsewhere_cosigns_what_is_published(office, elsewhere):
    note = elsewhere.cosign(["fiji"])
    assert set(archive(elsewhere).replica.witnesses(note)) == set(MEMBERS)
    lines = (elsewhere.federation.log / "checkpoint").read_text()
    assert lines == note.encode().decode()


def test_a_coordinator_publishes_more_cosignatures_under_the_same_checkpoint(office):
    before = archive(office).note
    after = office.cosign(MEMBERS)
    assert after.checkpoint == before.checkpoint
    assert set(before.lines) <= set(after.lines)


def test_a_witness_whose_key_is_elsewhere_cosigns_nothing(elsewhere):
    with pytest.raises(LogCorrupt, match="has lost its memory"):
        elsewhere.cosign(["peru"])

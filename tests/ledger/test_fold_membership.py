"""Who founds, joins, leaves, changes keys and takes the coordinator's role over; each refusal."""

import pytest
from foldlab import DAY, MEMBERS, NOON, OVERSEERS, Fold, key, member_entry, public, some
from pydantic import ValidationError

from concord.base.errors import StatementRefused
from concord.ledger.state.gathering import gathering
from concord.ledger.statements import evidence, membership, rounds, votes
from concord.testing.founded import charter_toml


@pytest.fixture
def fold(tmp_path):
    return Fold(tmp_path)


def coordinator(member, log=None):
    return membership.CoordinatorEntry(member=member, log_key=public(log or f"{member}/log"))


def handover(manner, member, term=1, log=None):
    return membership.Handover(manner=manner, term=term, coordinator=coordinator(member, log))


# --- founding ---------------------------------------------------------------------------------


def test_founders_are_full_members_bound_by_the_charter_they_signed(fold):
    seats = fold.state.members
    assert sorted(seats) == sorted(MEMBERS)
    assert {seat.standing for seat in seats.values()} == {"full"}
    assert {seat.ratified for seat in seats.values()} == {fold.charter}
    assert fold.state.coordinator.member == "chad"
    assert sorted(fold.state.overseers) == sorted(OVERSEERS)


def test_a_founding_needs_every_founders_signature(tmp_path):
    with pytest.raises(StatementRefused, match="signed by 3 of the keys that count, 4 are needed"):
        Missing(tmp_path)


class Missing(Fold):
    """A federation whose last founder did not sign."""

    def say(self, body, *arguments, signers=(), **other):
        return super().say(body, *arguments, signers=signers[:-1], **other)


def test_a_charter_that_asks_for_overseers_is_not_founded_without(tmp_path):
    with pytest.raises(StatementRefused, match="0 overseers are named; the charter asks for 2"):
        Fold(tmp_path, overseers=(), min_overseers=2)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"members": [member_entry("chad"), member_entry("chad")]}, "same id"),
        ({"overseers": [{"id": "chad", "key": public("ada")}]}, "same id"),
        ({"overseers": [{"id": "ada", "key": public("chad")}]}, "one key stands in two places"),
        ({"coordinator": coordinator("fiji")}, "the coordinator is no member"),
        ({"coordinator": coordinator("chad", "chad/witness")}, "one key stands in two places"),
        ({"nonce": "x"}, "nonce"),
        ({"members": []}, "members"),
    ],
)
def test_a_founding_statement_that_contradicts_itself_is_no_statement(change, match):
    fields = {
        "name": "atlas",
        "nonce": "0" * 32,
        "charter": some("charter"),
        "members": [member_entry("chad")],
        "coordinator": coordinator("chad"),
    }
    with pytest.raises(ValidationError, match=match):
        membership.Founding(**{**fields, **change})


# --- join -------------------------------------------------------------------------------------


def test_an_applicant_is_admitted_on_probation_and_has_no_vote(fold):
    fold.admit("laos")
    seat = fold.state.members["laos"]
    assert (seat.standing, seat.ratified) == ("probation", fold.charter)
    assert "laos" not in fold.state.voters(fold.now)
    assert "laos" in fold.state.bound(fold.now)
    assert not fold.state.applications
    proposal = fold.propose(votes.Ordinary(), "laos")
    fold.refuse("has no vote", votes.Ballot(proposal=proposal, choice="yes"), "laos")


def test_probation_ends_after_so_many_rounds(fold):
    fold.admit("laos")
    run = fold.open_run(*MEMBERS, "laos", weights={"laos": "1/2"})
    everyone = (*MEMBERS, "laos")
    fold.round(run, *sorted(everyone))
    assert fold.state.members["laos"].standing == "probation"
    fold.round(run, *sorted(everyone))
    assert fold.state.members["laos"].standing == "full"
    assert "laos" in fold.state.voters(fold.now)


def test_without_probation_an_applicant_is_a_full_member_at_once(tmp_path):
    text = charter_toml().replace("probation_rounds = 2", "probation_rounds = 0")
    fold = Fold(tmp_path, text=text)
    fold.admit("laos")
    assert fold.state.members["laos"].standing == "full"


def test_an_applicant_binds_itself_to_the_charter_it_signed_and_to_no_later_one(fold):
    application = fold.say(membership.Join(member=member_entry("laos")), "laos", "applicant")
    later = fold.put_charter(quorum="1/3")
    fold.adopt(votes.Amend(before=fold.charter, charter=later), rule="strong")
    fold.now += 1
    fold.adopt(votes.Admit(application=application, member="laos"))
    assert fold.state.charter == later
    assert fold.state.members["laos"].ratified == fold.charter
    assert "laos" not in fold.state.bound(fold.now)


def test_an_application_is_signed_by_the_applicant_itself(fold):
    body = membership.Join(member=member_entry("laos"))
    fold.refuse("made by the applicant itself", body, "mali", "applicant")
    fold.refuse("in the role 'applicant' only", body, "chad")
    fold.refuse("no say here", body, "laos", "applicant", signers=["chad"])


@pytest.mark.parametrize("name", ["chad", "ada"])
def test_an_applicant_cannot_take_the_name_of_another_party(fold, name):
    body = membership.Join(
        member=member_entry(name, key=public("new"), witness_key=public("new/witness"))
    )
    fold.refuse("the name of another party", body, name, "applicant", signers=["new"])


def test_an_applicant_cannot_bring_a_key_that_was_used(fold):
    body = membership.Join(member=member_entry("laos", witness_key=public("chad/witness")))
    fold.refuse("the key was used before", body, "laos", "applicant")


def test_one_key_in_two_places_is_no_entry():
    with pytest.raises(ValidationError, match="must be different keys"):
        member_entry("laos", witness_key=public("laos"))


def test_who_left_may_apply_again_with_new_keys_only(fold):
    fold.say(membership.Leave(), "togo")
    old = membership.Join(member=member_entry("togo"))
    fold.refuse("the key was used before", old, "togo", "applicant")
    new = member_entry("togo", key=public("togo 2"), witness_key=public("togo 2/witness"))
    application = fold.say(membership.Join(member=new), "togo", "applicant", signers=["togo 2"])
    fold.adopt(votes.Admit(application=application, member="togo"))
    assert fold.state.members["togo"].standing == "probation"


# --- leave ------------------------------------------------------------------------------------


def test_a_member_leaves_alone_and_at_once(fold):
    fold.say(membership.Leave(past_work="removed", reason="We train at home."), "togo")
    assert fold.state.members["togo"].standing == "left"
    assert "togo" not in fold.state.seated()
    assert "togo" not in fold.state.voters(fold.now)
    assert "togo" not in fold.state.bound(fold.now)
    assert "togo" not in fold.state.witness_keys()


def test_with_the_member_its_grants_end_also_in_a_round_that_goes_on(fold):
    run = fold.open_run()
    plan = fold.call(run)
    fold.answer(run, plan, *MEMBERS)
    fold.say(membership.Leave(), "togo")
    assert fold.state.runs[run].plan.granted == ("chad", "fiji", "peru")
    body = fold.record(run, plan, *MEMBERS)
    fold.refuse("'togo' did not send that update", body, role="coordinator", run=run, round_=0)
    body = fold.record(run, plan, "chad", "fiji", "peru")
    fold.say(body, role="coordinator", run=run, round_=0)


def test_the_next_plan_may_not_name_who_left(fold):
    run = fold.open_run()
    fold.say(membership.Leave(), "togo")
    body = fold.plan(run, roster=MEMBERS)
    fold.refuse("'togo' is suspended, has left", body, role="coordinator", run=run, round_=0)
    fold.call(run)


def test_a_vote_on_a_member_that_left_cannot_be_opened(fold):
    fold.say(membership.Leave(), "togo")
    with fold.refused("'togo' is no member"):
        fold.propose(votes.Expel(member="togo"))


# --- keys -------------------------------------------------------------------------------------


def rotation(purpose="identity", old="fiji", new="fiji 2"):
    return membership.KeyRotation(purpose=purpose, old=public(old), new=public(new))


def test_a_member_changes_its_key_and_goes_on_with_the_new_one(fold):
    fold.say(rotation(), "fiji", signers=["fiji", "fiji 2"])
    body = evidence.DatasetRecord(dataset="news", record=some("news"))
    fold.refuse("no say here", body, "fiji")
    fold.say(body, "fiji", signers=["fiji 2"])


def test_a_witness_key_is_changed_with_the_identity_key_too(fold):
    body = rotation("witness", "fiji/witness", "fiji/witness 2")
    both = ["fiji/witness", "fiji/witness 2"]
    fold.refuse("signed by 2 of the keys that count, 3 are needed", body, "fiji", signers=both)
    fold.say(body, "fiji", signers=["fiji", *both])
    assert fold.state.witness_keys()["fiji"] == public("fiji/witness 2")


def test_an_overseer_changes_its_key(fold):
    fold.say(rotation(old="ada", new="ada 2"), "ada", "overseer", signers=["ada", "ada 2"])
    assert fold.state.overseers["ada"].key == public("ada 2")


def test_an_overseer_has_no_witness_key_to_change(fold):
    body = rotation("witness", "ada", "ada 2")
    fold.refuse("is not this party's key", body, "ada", "overseer", signers=["ada", "ada 2"])


@pytest.mark.parametrize("signers", [["fiji"], ["fiji 2"]])
def test_a_rotation_needs_both_keys(fold, signers):
    fold.refuse("1 of the keys that count, 2 are needed", rotation(), "fiji", signers=signers)


def test_a_rotation_names_the_key_that_the_log_holds(fold):
    body = rotation(old="fiji/witness")
    signers = ["fiji", "fiji/witness", "fiji 2"]
    fold.refuse("is not this member's identity key", body, "fiji", signers=signers)


@pytest.mark.parametrize("taken", ["peru", "ada", "fiji/witness", "chad/log"])
def test_a_new_key_is_one_that_was_never_used(fold, taken):
    fold.refuse("used before", rotation(new=taken), "fiji", signers=["fiji", taken])


def test_an_old_key_never_comes_back(fold):
    fold.say(rotation(), "fiji", signers=["fiji", "fiji 2"])
    back = rotation(old="fiji 2", new="fiji")
    fold.refuse("used before", back, "fiji", signers=["fiji 2", "fiji"])


def test_the_same_key_is_no_rotation():
    with pytest.raises(ValidationError, match="the same key"):
        rotation(new="fiji")


def revocation(name="fiji", party="fiji", new=None):
    replacement = None if new is None else public(new)
    return membership.KeyRevocation(party=party, key=public(name), replacement=replacement)


@pytest.mark.parametrize("signer", ["fiji", "fiji/witness"])
def test_a_member_revokes_its_witness_key_with_that_key_or_its_identity(fold, signer):
    fold.say(revocation("fiji/witness"), "fiji", signers=[signer])
    assert public("fiji/witness") in fold.state.revoked


def test_after_its_own_revocation_a_member_cannot_speak(fold):
    fold.say(revocation(), "fiji")
    body = evidence.DatasetRecord(dataset="news", record=some("news"))
    fold.refuse("no say here", body, "fiji")


def test_a_majority_replaces_a_lost_key(fold):
    body = revocation(new="fiji 2")
    fold.refuse("2 of the keys that count, 3 are needed", body, "chad", signers=["chad", "peru"])
    fold.say(body, "chad", signers=["chad", "peru", "togo"])
    assert fold.state.members["fiji"].entry.key == public("fiji 2")
    fold.say(evidence.DatasetRecord(dataset="news", record=some("n")), "fiji", signers=["fiji 2"])


def test_the_thief_of_a_key_cannot_name_its_replacement_alone(fold):
    body = revocation(new="thief")
    fold.refuse("1 of the keys that count, 3 are needed", body, "fiji", signers=["fiji"])


def test_a_majority_revokes_and_replaces_an_overseers_key(fold):
    fold.refuse("is no member", revocation("ada", "ada", "ada 2"), "ada")
    body = revocation("ada", "ada", "ada 2")
    fold.say(body, "chad", signers=["chad", "peru", "togo"])
    assert fold.state.overseers["ada"].key == public("ada 2")


def test_an_overseer_revokes_its_own_key(fold):
    fold.say(revocation("ada", "ada"), "ada", "overseer")
    fold.refuse("makes no statement", revocation("bo", "bo"), "cyd", "overseer")
    assert fold.state.revoked == (public("ada"),)


@pytest.mark.parametrize(("name", "party"), [("peru", "fiji"), ("peru", "ada")])
def test_a_revocation_names_a_key_of_that_party(fold, name, party):
    body = revocation(name, party)
    fold.refuse("it is no key of", body, "chad", signers=["chad", "peru", "togo"])


def test_a_key_is_revoked_once(fold):
    together = ["chad", "peru", "togo"]
    fold.say(revocation(), "chad", signers=together)
    fold.refuse("was revoked before", revocation(), "chad", signers=together)


def test_a_replacement_is_a_key_that_was_never_used(fold):
    together = ["chad", "peru", "togo"]
    for body in (revocation(new="peru"), revocation("ada", "ada", "peru")):
        fold.refuse("used before", body, "chad", signers=together)


# --- the coordinator's role -------------------------------------------------------------------


def test_a_coordinator_hands_its_role_over_with_both_signatures(fold):
    body = handover("handover", "fiji")
    fold.refuse("1 of the keys that count, 2 are needed", body, "chad")
    fold.refuse("1 of the keys that count, 2 are needed", body, "fiji")
    fold.say(body, "chad", signers=["chad", "fiji"])
    assert (fold.state.coordinator.member, fold.state.term) == ("fiji", 1)


def test_a_majority_takes_the_role_from_a_silent_coordinator(fold):
    body = handover("takeover", "fiji")
    fold.say(body, "fiji", signers=["fiji", "peru", "togo"])
    assert fold.state.coordinator.member == "fiji"


@pytest.mark.parametrize("signers", [["fiji"], ["fiji", "peru"]])
def test_half_of_the_members_take_nothing_over(fold, signers):
    body = handover("takeover", "fiji")
    fold.refuse("of the keys that count, 3 are needed", body, "fiji", signers=signers)


def test_nobody_is_made_coordinator_without_its_own_signature(fold):
    body = handover("takeover", "fiji")
    fold.refuse("lacks a signature", body, "chad", signers=["chad", "peru", "togo"])


def test_one_key_never_counts_twice(fold):
    entry = fold.entry(handover("takeover", "fiji"), "fiji")
    again = entry.also_signed(key("fiji")).also_signed(key("fiji"))
    with fold.refused("1 of the keys that count, 3 are needed"):
        fold.take(again)


def test_a_takeover_of_an_earlier_term_is_refused(fold):
    together = ["fiji", "peru", "togo"]
    entry = fold.entry(handover("takeover", "fiji"), "fiji", signers=together)
    fold.take(entry)
    with fold.refused("is for term 1; the next term is 2"):
        fold.take(entry)


def test_a_new_coordinator_is_a_present_member(fold):
    fold.refuse("'laos' is no member", handover("takeover", "laos"), "fiji")


def test_a_log_key_that_was_used_does_not_come_back(fold):
    fold.say(handover("handover", "fiji"), signers=["chad", "fiji"])
    back = handover("handover", "chad", term=2)
    fold.refuse("used before", back, "fiji", signers=["chad", "fiji"])
    fold.say(handover("handover", "chad", 2, "chad/log 2"), "fiji", signers=["chad", "fiji"])


def test_a_coordinator_changes_its_log_key_by_a_handover_to_itself(fold):
    fold.say(handover("handover", "chad", log="chad/log 2"))
    assert fold.state.coordinator.log_key == public("chad/log 2")


def test_a_plan_of_the_earlier_coordinator_is_void_and_its_later_words_are_refused(fold):
    run = fold.open_run()
    plan = fold.call(run)
    fold.answer(run, plan, *MEMBERS)
    late = fold.entry(fold.record(run, plan, *MEMBERS), role="coordinator", run=run, round_=0)
    fold.say(handover("takeover", "fiji"), "fiji", signers=["fiji", "peru", "togo"])
    assert fold.state.runs[run].plan is None
    assert fold.state.runs[run].attempt == 1
    with fold.refused("does not run the coordinator"):
        fold.take(late)
    stale = fold.plan(run, term=0)
    fold.refuse("is of term 0; the term is 1", stale, "fiji", "coordinator", run=run, round_=0)
    fold.round(run, *MEMBERS)


def test_after_the_coordinator_left_a_majority_still_finds_another(fold):
    fold.say(membership.Leave(), "chad")
    body = handover("handover", "fiji")
    fold.refuse("'chad' is no member", body, "fiji", signers=["fiji"])
    fold.say(handover("takeover", "fiji"), "fiji", signers=["fiji", "peru"])


def test_a_round_of_the_run_is_called_by_the_new_coordinator_only(fold):
    run = fold.open_run()
    fold.say(handover("handover", "fiji"), signers=["chad", "fiji"])
    body = fold.plan(run)
    fold.refuse("does not run", body, "chad", "coordinator", run=run, round_=0)
    assert isinstance(body, rounds.RoundPlan)
    fold.call(run)


# --- who still has to sign --------------------------------------------------------------------


def test_it_is_told_who_signed_and_who_still_has_to(fold):
    charter = fold.library.charter(fold.charter)
    entry = fold.entry(handover("takeover", "fiji"), "fiji", signers=["chad"])
    found = gathering(fold.state, entry, charter)
    assert (found.signed, found.needed, found.lacking) == (("chad",), 3, ("fiji",))
    assert found.others == ("peru", "togo")
    assert not found.complete
    assert found.words == ("signed by chad; 2 more needed, among them fiji (may sign: peru, togo)")
    whole = entry.also_signed(key("fiji")).also_signed(key("togo"))
    done = gathering(fold.state, whole, charter)
    assert done.complete
    assert done.words == "signed by chad, fiji, togo; that is enough"


def test_a_forged_signature_does_not_count_among_them(fold):
    charter = fold.library.charter(fold.charter)
    mine = fold.entry(handover("takeover", "fiji"), "fiji")
    other = fold.entry(handover("takeover", "fiji", log="other"), "fiji")
    swapped = type(mine)(
        mine.statement,
        type(mine.envelope)(
            mine.envelope.payload, mine.envelope.payload_type, other.envelope.signatures
        ),
        b"",
    )
    with pytest.raises(StatementRefused, match="signature is wrong"):
        gathering(fold.state, swapped, charter)


def test_days_do_not_matter_to_keys(fold):
    fold.now = NOON + 400 * DAY
    fold.say(rotation(), "fiji", signers=["fiji", "fiji 2"])

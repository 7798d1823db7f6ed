"""The log's operator rewrites the past and signs the new tree: every alteration is named.

Each case alters one thing in a log of a hundred entries. The operator holds the coordinator's and
the log's keys; a party whose key it gets as well is named in the case.
"""

import json
from dataclasses import dataclass, replace
from fractions import Fraction

import pytest
from forger import Forger
from verifylab import MEMBERS, eventful, hand_over, verified

from concord.base.canonical import canonical_json
from concord.base.digest import digest_bytes
from concord.base.errors import VerificationFailed
from concord.crypto.dsse import Envelope, sign_envelope
from concord.ledger.statements.evidence import Release
from concord.ledger.statements.membership import CoordinatorEntry, Handover, KeyRevocation
from concord.ledger.statements.oversight import Halt
from concord.ledger.statements.rounds import (
    Merged,
    Refused,
    RoundCommitted,
)
from concord.ledger.statements.statement import PAYLOAD_TYPE
from concord.ledger.statements.votes import Amend, Ballot, Decision, Proposal
from concord.testing.history import History, key

NOWHERE = "sha256:" + "0" * 64


@dataclass
class Case:
    """One alteration, and what has to be said of it."""

    name: str
    alter: object
    where: str
    message: str
    colluding: tuple[str, ...] = ()


CASES: list[Case] = []


def case(where, message, colluding=()):
    def add(alter):
        CASES.append(Case(alter.__name__, alter, where, message, colluding))
        return alter

    return add


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return eventful(tmp_path_factory.mktemp("history"))[0]


def pytest_generate_tests(metafunc):
    if "altered" in metafunc.fixturenames:
        metafunc.parametrize("altered", CASES, ids=[c.name for c in CASES])


def test_it_is_named(altered, history, tmp_path):
    forger = Forger(history, tmp_path, colluding=altered.colluding)
    altered.alter(forger)
    with pytest.raises(VerificationFailed) as failed:
        verified(forger.publish())
    found = failed.value
    assert altered.where in found.where
    assert altered.message in found.message
    assert found.remedy
    assert found.exit_status == 10


def test_the_log_that_nobody_altered_passes(history):
    assert len(verified(history.publish()).steps) == 6


def test_what_breaks_no_rule_is_known_by_the_missing_cosignatures(history, tmp_path):
    forger = Forger(history, tmp_path)
    forger.restate(forger.find("round-record"), body={"closed_because": "grace is over"})
    with pytest.raises(VerificationFailed, match="0 members cosigned the checkpoint; 3 are needed"):
        verified(forger.publish())


# --- rounds ---------------------------------------------------------------------------------


def merged_of(forger, index):
    return dict(forger.entry(index).statement.body.merged)


@case("entry 20 (round-record by chad, round 1): merged", "weight of 'fiji' is 1/4, not 1/5")
def a_weight(forger):
    index = forger.find("round-record")
    merged = merged_of(forger, index)
    heavier = merged["fiji"].model_copy(update={"weight": Fraction(1, 4)})
    lighter = merged["peru"].model_copy(update={"weight": Fraction(3, 20)})
    forger.restate(index, body={"merged": {**merged, "fiji": heavier, "peru": lighter}})


@case("entry 20 (round-record by chad, round 1): merged", "'fiji' did not send that update")
def another_members_update_merged_under_a_name(forger):
    index = forger.find("round-record")
    merged = merged_of(forger, index)
    swapped = merged["fiji"].model_copy(update={"update": merged["peru"].update})
    forger.restate(index, body={"merged": {**merged, "fiji": swapped}})


@case("entry 9 (round-plan by chad, round 1): roster", "omits laos, who may take part")
def a_member_omitted_from_the_roster(forger):
    forger.restate(forger.find("round-plan"), body={"roster": ("chad", "fiji", "iran", "peru")})


@case("round-plan by chad, round 6): roster", "'iran' is suspended, has left, or is not bound")
def an_expelled_member_in_the_roster(forger):
    forger.restate(forger.find("round-plan", number=-1), body={"roster": MEMBERS})


@case("entry 34 (round-record by chad, round 2)", "every member of the roster is either merged or")
def a_member_left_out_without_a_word(forger):
    index = forger.find("round-record", number=1)
    forger.restate(index, body={"left_out": {"laos": "late"}})


@case("entry 34 (round-record by chad, round 2): merged", "2 updates of 5; the quorum is 3")
def a_quorum_not_reached(forger):
    index = forger.find("round-record", number=1)
    merged, old = merged_of(forger, index), forger.entry(index).statement.body
    del merged["fiji"]
    forger.restate(index, body={"merged": merged, "left_out": {**old.left_out, "fiji": "late"}})


@case("entry 9 (round-plan by chad, round 1)", "steps, codec or quorum are not those of the run")
def a_plan_of_more_steps_than_the_run_document_says(forger):
    forger.restate(forger.find("round-plan"), body={"inner_steps": 400})


@case("entry 9 (round-plan by chad, round 1): base", "does not start from the current base")
def a_plan_from_another_base(forger):
    forger.restate(forger.find("round-plan"), body={"base": NOWHERE})


@case("entry 9 (round-plan by chad, round 2): round", "is for round 1; the run is at 0")
def a_plan_for_a_round_that_is_not_due(forger):
    index = forger.find("round-plan")
    binding = forger.entry(index).statement.binding.model_copy(update={"round": 1})
    forger.restate(index, binding=binding)


@case("entry 20 (evaluation by chad, round 1): base", "is not of a base that this run had lately")
def a_round_record_dropped(forger):
    forger.drop(forger.find("round-record"))


@case("entry 49 (round-record by chad, round 3): plan", "is not about the plan that is open")
def a_round_record_for_another_plan(forger):
    forger.restate(forger.find("round-record", number=2), body={"plan": NOWHERE})


@case("update-header by chad, round 1)", "an update needs a grant first")
def a_grant_dropped(forger):
    forger.drop(forger.find("grant", "chad"))


@case("update-header by chad, round 1)", "an update needs a grant first")
def a_grant_turned_into_a_refusal(forger):
    index = forger.find("grant", "chad")
    old = forger.entry(index).statement
    forger.drop(index)
    body = Refused(plan=old.body.plan, reason="not for this use")
    how = {"run": old.binding.run, "round_": 0, "charter": old.binding.charter}
    forger.say(body, "chad", at=index, time=old.time, seq=old.seq, **how)


@case("update-header by chad, round 1): base", "starts from another base")
def an_update_header_for_another_base(forger):
    forger.restate(forger.find("update-header", "chad"), body={"base": NOWHERE})


@case("round-record by chad, round 1): merged", "'chad' declares 5000 tokens; 512 were agreed")
def tokens_overclaimed(forger):
    forger.restate(forger.find("update-header", "chad"), body={"tokens": 5000})


@case("update-header by chad, round 1): steps", "declares more work than was planned")
def steps_overclaimed(forger):
    forger.restate(forger.find("update-header", "chad"), body={"steps": 400})


@case("evaluation by chad, round 1): base", "is not of a base that this run had lately")
def a_measurement_of_a_base_that_never_was(forger):
    forger.restate(forger.find("evaluation", "chad"), body={"base": NOWHERE})


@case("entry 8 (run-opening by chad)", "the run was not adopted by a vote")
def a_run_opened_without_a_vote(forger):
    index = forger.find("run-opening")
    run = forger.entry(index).statement.binding.run
    document = json.loads(forger.object(run).read_bytes())
    data = canonical_json({**document, "seed": 7})
    other = digest_bytes(data)
    forger.object(other).parent.mkdir(exist_ok=True)
    forger.object(other).write_bytes(data)
    binding = forger.entry(index).statement.binding.model_copy(update={"run": other})
    forger.restate(index, binding=binding)


# --- votes ----------------------------------------------------------------------------------


@case("entry 3 (ballot by fiji): signatures", "a signature is wrong")
def a_ballots_choice(forger):
    forger.restate(forger.find("ballot", "fiji"), body={"choice": "no"})


@case("entry 6 (decision by chad)", "does not follow from the ballots")
def a_ballot_dropped(forger):
    forger.drop(forger.find("ballot", "fiji"))


@case("entry 7 (decision by chad)", "by rule 'ordinary' the outcome is 'adopted' over 5 ballots")
def a_decisions_outcome(forger):
    forger.restate(forger.find("decision"), body={"outcome": "rejected"})


@case("decision by chad): effective", "must be 0 s after the decision")
def a_decisions_date(forger):
    old = forger.entry(forger.find("decision")).statement.body
    forger.restate(forger.find("decision"), body={"effective": old.effective + 1})


@case("entry 3 (decision by chad)", "the vote is not over")
def a_decision_before_the_ballots(forger):
    forger.insert(3, forger.drop(forger.find("decision")))


@case("entry 3 (ballot by fiji): signatures", "a signature is wrong")
def a_members_date(forger):
    index = forger.find("ballot", "fiji")
    forger.restate(index, time=forger.entry(index).statement.time - 60)


@case("round-plan by chad, round 6): time", "is older than what stands before it")
def a_coordinators_date(forger):
    index = forger.find("round-plan", number=-1)
    forger.restate(index, time=forger.entry(index).statement.time - 3000)


@case("entry 102 (decision by chad)", "the vote is not over")
def a_charter_amended_without_a_vote(forger):
    amend(forger, at=101)


@case("entry 102 (decision by chad)", "the outcome is 'no-quorum' over 0 ballots")
def a_charter_amended_after_a_vote_in_which_nobody_voted(forger):
    amend(forger, at=101, wait=7200)


def amend(forger, *, at, wait=1):
    before = forger.entry(at - 1).statement
    charter = forger.state.charter
    proposal = forger.say(
        Proposal(title="Mine", change=Amend(before=charter, charter=charter),
                 closes=before.time + 3600), "chad", at=at, time=before.time + 1, seq=900,
    )  # fmt: skip
    forger.say(
        Decision(proposal=proposal.statement.digest, outcome="adopted", rule="strong", ballots={},
                 effective=before.time + wait), "chad", "coordinator", at=at + 1,
        time=before.time + wait, seq=900,
    )  # fmt: skip


@case("ratification by chad): ratified", "no such charter was adopted")
def a_charter_ratified_that_nobody_adopted(forger):
    forger.restate(forger.find("ratification", "chad"), body={"ratified": NOWHERE})


@case("entry 101 (ballot by iran)", "'iran' is no member")
def an_expelled_members_ballot(forger):
    proposal = forger.entry(forger.find("proposal", number=-1)).statement.digest
    forger.say(Ballot(proposal=proposal, choice="yes"), "iran", at=101, key=key("iran"))


@case("entry 1 (proposal by chad): charter", "is bound to a charter that is not in force")
def a_statement_under_another_charter(forger):
    index = forger.find("proposal")
    binding = forger.entry(index).statement.binding.model_copy(update={"charter": NOWHERE})
    forger.restate(index, binding=binding)


@case("release by chad)", "no adopted decision says to publish this")
def a_release_that_nobody_decided(forger):
    body = Release(version="1", model=NOWHERE, manifest=NOWHERE, decision=NOWHERE)
    forger.say(body, "chad", "coordinator")


# --- keys and signatures --------------------------------------------------------------------


@case("entry 3 (ballot by fiji): signatures", "a signature is wrong")
def a_forged_signature(forger):
    forger.garble_signature(forger.find("ballot", "fiji"))


@case("entry 0 (founding by test): signatures", "signed by 4 of the keys that count, 5 are needed")
def a_dropped_signature(forger):
    forger.unsign(0)


@case("entry 0 (founding by test): signatures", "a signature is wrong")
def another_charter_in_the_founding(forger):
    binding = forger.entry(0).statement.binding
    charter = forger.state.charter
    forger.restate(
        0, body={"charter": charter}, binding=binding.model_copy(update={"charter": charter})
    )


@case("entry 0 (founding by test): signatures", "which has no say here")
def a_founder_dropped(forger):
    founders = forger.entry(0).statement.body.members
    forger.restate(0, body={"members": founders[:-1]})


@case("ballot by laos): signatures", "has no say here")
def a_ballot_signed_with_a_revoked_key(forger):
    forger.restate(forger.find("ballot", "laos", -1), key=key("laos"), body={"choice": "no"})


@case("ballot by fiji): signatures", "has no say here")
def a_ballot_signed_with_a_key_that_was_exchanged(forger):
    forger.restate(forger.find("ballot", "fiji", -1), key=key("fiji"), body={"choice": "no"})


@case("entry 3 (ballot by fiji): signatures", "has no say here")
def a_ballot_signed_by_another_member(forger):
    forger.restate(forger.find("ballot", "fiji"), key=key("chad"), body={"choice": "no"})


@case("entry 108: envelope.signatures", "names one key twice")
def one_key_signing_twice(forger):
    entry = handover(forger)
    once = json.loads(entry.data)
    once["signatures"] *= 3
    forger.entries[-1] = canonical_json(once)


@case(
    "entry 108 (handover by peru): signatures", "signed by 1 of the keys that count, 3 are needed"
)
def a_takeover_that_one_member_signed(forger):
    handover(forger)


def handover(forger):
    log = CoordinatorEntry(member="peru", log_key=key("peru", "log").public.text)
    body = Handover(manner="takeover", term=1, coordinator=log)
    return forger.say(body, "peru", key=key("peru"))


@case("entry 108 (key-revocation by chad): signatures", "3 are needed")
def one_member_exchanging_anothers_key(forger):
    body = KeyRevocation(
        party="peru",
        key=key("peru").public.text,
        replacement=key("peru", "identity", 9).public.text,
    )
    forger.say(body, "chad")


@case("round-plan by fiji, round 1)", "'fiji' does not run the coordinator; 'chad' does")
def a_plan_by_one_who_is_not_in_office(forger):
    index = forger.find("round-plan")
    author = forger.entry(index).statement.author.model_copy(update={"party": "fiji"})
    forger.restate(index, author=author, key=key("chad"))


# --- order, replay, form --------------------------------------------------------------------


@case("entry 1 (ballot by chad)", "there is no such proposal")
def entries_in_another_order(forger):
    forger.swap(1, 2)


@case("entry 9 (grant by chad, round 1)", "is not about the plan that is open")
def a_plan_after_its_first_grant(forger):
    forger.swap(9, 10)


@case("entry 4 (ballot by fiji): seq", "was used by its author before: a replay")
def a_duplicated_entry(forger):
    forger.insert(4, forger.entries[3])


@case("entry 28 (grant by fiji, round 1): seq", "a replay")
def a_grant_replayed_in_another_round(forger):
    forger.insert(28, forger.entries[forger.find("grant", "fiji")])


@case("entry 108", "grant must name a run")
def a_grant_that_names_no_run(forger):
    old = forger.entry(forger.find("grant", "chad", -1)).statement
    binding = old.binding.model_copy(update={"run": None, "round": None})
    raw(forger, replace(old, binding=binding, seq=900))


@case("entry 108 (grant by chad, round 6)", "the run was not adopted by a vote")
def a_grant_replayed_in_another_run(forger):
    index = forger.find("grant", "chad", -1)
    old = forger.entry(index).statement
    other = another_run(forger)
    raw(forger, replace(old, binding=old.binding.model_copy(update={"run": other}), seq=900))


def another_run(forger):
    run = forger.entry(forger.find("run-opening")).statement.binding.run
    data = canonical_json({**json.loads(forger.object(run).read_bytes()), "seed": 7})
    other = digest_bytes(data)
    forger.object(other).parent.mkdir(exist_ok=True)
    forger.object(other).write_bytes(data)
    return other


@case("entry 108 (ballot by chad): federation", "belongs to another federation")
def a_statement_of_another_federation(forger):
    old = forger.entry(forger.find("ballot", "chad")).statement
    binding = old.binding.model_copy(update={"federation": NOWHERE})
    raw(forger, replace(old, binding=binding, seq=900))


def raw(forger, statement):
    envelope = sign_envelope(statement.payload(), PAYLOAD_TYPE, [forger.keys["chad"]])
    forger.entries.append(envelope.encode())


def altered_payload(forger, change):
    """The last measurement of the coordinator's member with other bytes, signed with its key."""
    payload = forger.entry(forger.find("evaluation", "chad")).envelope.payload
    envelope = Envelope(change(payload), PAYLOAD_TYPE)
    forger.entries.append(envelope.with_signature(forger.keys["chad"]).encode())


def altered_value(forger, change):
    def rewritten(payload):
        value = json.loads(payload)
        change(value)
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    altered_payload(forger, rewritten)


@case("entry 108", "is no known kind of statement")
def a_statement_of_unknown_kind(forger):
    def change(value):
        value["predicateType"] = "urn:concord:decree:1"

    altered_value(forger, change)


@case("entry 108", "unknown key")
def a_statement_with_an_unknown_key(forger):
    altered_value(forger, lambda value: value["predicate"]["body"].update(mood="good"))


@case("entry 108", "an object names one key twice")
def a_statement_with_a_duplicate_key(forger):
    altered_payload(forger, lambda payload: payload.replace(b'"bytes":8', b'"bytes":8,"bytes":9'))


@case("entry 108", "is not an integer")
def a_statement_with_a_float(forger):
    altered_payload(forger, lambda payload: payload.replace(b'"bytes":8', b'"bytes":8.5'))


@case("entry 108", "not in canonical form")
def a_statement_in_another_form(forger):
    altered_payload(forger, lambda payload: payload.replace(b'"bytes":8', b'"bytes": 8'))


@case("entry 108", "subjects or fields are not in their one form")
def a_statement_whose_subject_is_another(forger):
    def change(value):
        value["subject"][0]["digest"]["sha256"] = "1" * 64

    altered_value(forger, change)


@case("entry 108", "subjects or fields are not in their one form")
def a_number_written_as_a_truth_value(forger):
    altered_payload(forger, lambda payload: payload.replace(b'"documents":1', b'"documents":true'))


@case("entry 108", "JSON is nested deeper than 16")
def a_deeply_nested_statement(forger):
    def change(value):
        value["predicate"]["body"]["deep"] = deep = []
        for _ in range(30):
            deep.append([])
            deep = deep[0]

    altered_value(forger, change)


@case("entry 108", "over the limit of 48,000")
def an_oversized_statement(forger):
    altered_value(forger, lambda value: value["predicate"]["body"].update(pad="x" * 48_000))


@case("entry 108: envelope", "not strict JSON")
def an_entry_that_is_no_envelope(forger):
    forger.entries.append(b"\x00garbage")


@case("entry 108", "is an envelope of another type")
def an_envelope_of_another_type(forger):
    payload = forger.entry(3).envelope.payload
    envelope = sign_envelope(payload, "application/octet-stream", [forger.keys["chad"]])
    forger.entries.append(envelope.encode())


@case("entry 108: envelope.payload", "is not canonical base64")
def a_payload_in_another_base64(forger):
    value = json.loads(forger.entries[forger.find("ballot", "chad")])
    value["payload"] = value["payload"][:-1] + "\n"
    forger.entries.append(canonical_json(value))


# --- halts ----------------------------------------------------------------------------------


def halt(forger, ground, seconds):
    body = Halt(scope="all", ground=ground, reason="A test.", until=forger.state.time + seconds)
    forger.say(body, "odin", "overseer")


@case(
    "entry 108 (halt by odin)", "all were halted for the ground 'fire' before", colluding=("odin",)
)
def a_halt_for_a_ground_that_was_used(forger):
    halt(forger, "fire", 3600)


@case("entry 108 (halt by odin): until", "within 72 hours", colluding=("odin",))
def a_halt_that_is_too_long(forger):
    halt(forger, "flood", 100 * 24 * 3600)


@case(
    "round-record by chad, round 6): sha256:",
    "was committed while all were halted",
    colluding=("odin",),
)
def a_round_committed_while_all_are_halted(forger):
    halt(forger, "flood", 3600)
    last = forger.find("round-record", number=-1)
    old = forger.entry(last).statement
    plan = forger.entry(forger.find("round-plan", number=-1)).statement
    sent = {
        m: forger.entry(forger.find("update-header", m, -1)).statement.body.update
        for m in ("chad", "fiji", "laos")
    }
    weights = dict.fromkeys(sent, Fraction(1, 3))
    body = RoundCommitted(
        plan=plan.digest,
        base_before=plan.body.base,
        base=NOWHERE,
        step=NOWHERE,
        record=old.body.record,
        merged={m: Merged(update=sent[m], weight=weights[m], norm="1.0") for m in sent},
        left_out={"peru": "late"},
    )
    forger.say(
        body, "chad", "coordinator", run=plan.binding.run, round_=5, time=forger.state.time + 2
    )


@case("entry 37 (halt by odin): signatures", "a signature is wrong")
def a_halts_end(forger):
    index = forger.find("halt")
    forger.restate(index, body={"until": forger.entry(index).statement.body.until - 3000})


@case("round-plan by chad, round 3): sha256:", "all are halted: A test.")
def a_plan_while_all_are_halted(forger):
    index = forger.find("round-plan", number=2)
    forger.restate(index, time=forger.entry(index).statement.time - 3000)


# --- after the role was handed over ----------------------------------------------------------


@pytest.fixture(scope="module")
def handed_over(tmp_path_factory):
    history = History(tmp_path_factory.mktemp("handed-over"))
    run = history.adopt()
    run.round_of()
    hand_over(history, "fiji")
    run.call()
    history.publish()
    return history


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"body": {"term": 0}}, "is of term 0; the term is 1"),
        ({"party": "chad"}, "'chad' does not run the coordinator; 'fiji' does"),
    ],
    ids=["a_stale_term", "a_plan_by_the_coordinator_before"],
)
def test_a_former_office_counts_no_more(handed_over, tmp_path, change, message):
    forger = Forger(handed_over, tmp_path, colluding=("chad",))
    index = forger.find("round-plan", number=-1)
    author = forger.entry(index).statement.author
    author = author.model_copy(update={"party": change.get("party", author.party)})
    forger.restate(index, body=change.get("body"), author=author, seq=900)
    with pytest.raises(VerificationFailed, match=message) as failed:
        verified(forger.publish())
    assert "(round-plan by" in failed.value.where


def test_a_checkpoint_signed_with_the_former_log_key_is_refused(handed_over, tmp_path):
    forger = Forger(handed_over, tmp_path)
    forger.log_key = key("chad", "log")
    forger.lines = handed_over.note().lines[1:]
    with pytest.raises(VerificationFailed, match="the log's coordinator did not sign"):
        verified(forger.publish())

"""Runs, plans, answers, records: each is held against charter, run document and plan."""

import pytest
from foldlab import MEMBERS, NOON, Fold, granted, some
from pydantic import ValidationError

from concord.ledger.statements import evidence, membership, rounds, votes

REST = ("chad", "fiji", "peru")


@pytest.fixture
def fold(tmp_path):
    return Fold(tmp_path)


@pytest.fixture
def run(fold):
    return fold.open_run()


def as_coordinator(fold, run, round_=None):
    return {
        "by": fold.state.coordinator.member,
        "role": "coordinator",
        "run": run,
        "round_": round_,
    }


# --- opening and closing ----------------------------------------------------------------------


def test_a_run_that_was_not_adopted_does_not_begin(fold):
    body = rounds.RunOpening(first_base=some("b"), record=some("r"))
    run = fold.put_run()
    fold.refuse("not adopted by a vote", body, role="coordinator", run=run)


def test_a_run_whose_document_is_missing_does_not_begin(fold):
    body = rounds.RunOpening(first_base=some("b"), record=some("r"))
    fold.refuse("the run document cannot be read", body, role="coordinator", run=some("nothing"))


def test_a_run_begins_once(fold, run):
    body = rounds.RunOpening(first_base=some("b"), record=some("r"))
    fold.refuse("the run is open already", body, role="coordinator", run=run)


def test_a_run_that_is_not_open_calls_no_round(fold):
    run = fold.put_run()
    fold.adopt(votes.StartRun(document=run))
    body = rounds.RoundPlan(
        attempt=0, term=0, base=some("b"), roster=MEMBERS, inner_steps=3, codec="fp32", quorum="1/2"
    )
    fold.refuse("the run is adopted, not open", body, **as_coordinator(fold, run, 0))


def test_a_run_closes_at_its_last_base_and_not_before(fold, run):
    early = rounds.RunClosed(base=some("base 0"))
    fold.refuse("0 of 2 rounds have happened", early, **as_coordinator(fold, run))
    fold.round(run, *MEMBERS)
    fold.round(run, *MEMBERS)
    wrong = rounds.RunClosed(base=some("base 1"))
    fold.refuse("2 of 2 rounds have happened", wrong, **as_coordinator(fold, run))
    fold.say(rounds.RunClosed(base=some("base 2")), **as_coordinator(fold, run))
    assert fold.state.runs[run].standing == "closed"
    body = fold.plan(run)
    fold.refuse("the run is closed, not open", body, **as_coordinator(fold, run, 2))


# --- plans ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"attempt": 1}, "must be attempt 0"),
        ({"term": 1}, "is of term 1; the term is 0"),
        ({"base": some("another")}, "does not start from the current base"),
        ({"inner_steps": 4}, "not those of the run document"),
        ({"codec": "sparse"}, "not those of the run document"),
        ({"quorum": "1/3"}, "not those of the run document"),
        ({"roster": REST}, "omits togo, who may take part"),
        ({"roster": ("chad", "fiji", "laos", "peru", "togo")}, "'laos' is not in the run document"),
    ],
)
def test_a_plan_that_departs_from_the_run_is_refused(fold, run, change, match):
    fold.refuse(match, fold.plan(run, **change), **as_coordinator(fold, run, 0))


def test_a_plan_is_for_the_next_round(fold, run):
    fold.refuse("is for round 1; the run is at 0", fold.plan(run), **as_coordinator(fold, run, 1))


def test_one_plan_at_a_time(fold, run):
    body = fold.plan(run)
    fold.call(run)
    fold.refuse("has not come to an end", body, **as_coordinator(fold, run, 0))


def test_a_suspended_member_is_not_in_a_plan(fold, run):
    fold.adopt(votes.Suspend(member="togo", until=NOON + 60), rule="expel")
    body = fold.plan(run, roster=MEMBERS)
    fold.refuse("'togo' is suspended", body, **as_coordinator(fold, run, 0))
    fold.call(run)
    assert fold.state.runs[run].plan.roster == REST


def test_a_member_that_did_not_ratify_is_not_in_a_plan(fold, run):
    later = fold.put_charter(quorum="1/3")
    fold.adopt(votes.Amend(before=fold.charter, charter=later), rule="strong")
    fold.now += 1
    for member in REST:
        fold.say(votes.Ratification(ratified=later), member)
    body = fold.plan(run, roster=MEMBERS)
    fold.refuse("not bound by the charter in force", body, **as_coordinator(fold, run, 0))
    fold.call(run)


# --- steps by speed ---------------------------------------------------------------------------

PACED = {"count": 4, "inner_steps": 3, "quorum": "1/2", "pace": "by_speed"}


@pytest.fixture
def paced(fold):
    """A run by speed after one round, in which togo was three times as slow as the others."""
    run = fold.open_run(rounds=PACED)
    plan = fold.call(run, steps=dict.fromkeys(MEMBERS, 3))
    for member in MEMBERS:
        fold.say(granted(plan), member, run=run, round_=0)
        train_s = "4.5" if member == "togo" else "1.5"
        fold.say(fold.update(run, plan, member, train_s=train_s), member, run=run, round_=0)
    fold.say(fold.record(run, plan, *MEMBERS), **as_coordinator(fold, run, 0))
    return run


def test_a_plan_by_speed_gives_the_steps_that_follow_from_the_log(fold, paced):
    equal = fold.plan(paced, steps=dict.fromkeys(MEMBERS, 3))
    fold.refuse("follows from the members' step times", equal, **as_coordinator(fold, paced, 1))
    fold.refuse(
        "follows from the members' step times", fold.plan(paced), **as_coordinator(fold, paced, 1)
    )
    fold.call(paced, steps={"chad": 3, "fiji": 3, "peru": 3, "togo": 1})


def test_an_equal_run_plans_no_steps_by_speed(fold, run):
    body = fold.plan(run, steps=dict.fromkeys(MEMBERS, 3))
    fold.refuse("follows from the members' step times", body, **as_coordinator(fold, run, 0))


def test_an_update_declares_the_steps_that_it_is_weighed_for(fold, paced):
    plan = fold.call(paced, steps={"chad": 3, "fiji": 3, "peru": 3, "togo": 1})
    for member in ("fiji", "togo"):
        fold.say(granted(plan), member, run=paced, round_=1)
    where = {"run": paced, "round_": 1}
    fold.refuse("more work than was planned", fold.update(paced, plan, "togo"), "togo", **where)
    fewer = fold.update(paced, plan, "fiji", steps=2)
    fold.refuse("less work than it is weighed for", fewer, "fiji", **where)
    fold.say(fold.update(paced, plan, "togo", steps=1), "togo", **where)


def test_who_granted_and_sent_nothing_is_planned_fewer_steps(fold, paced):
    plan = fold.call(paced, steps={"chad": 3, "fiji": 3, "peru": 3, "togo": 1})
    for member in MEMBERS:
        fold.say(granted(plan), member, run=paced, round_=1)
    for member in ("chad", "fiji"):
        fold.say(fold.update(paced, plan, member), member, run=paced, round_=1)
    fold.say(fold.record(paced, plan, "chad", "fiji"), **as_coordinator(fold, paced, 1))
    assert fold.state.runs[paced].step_times_us == {
        "chad": 500_000,
        "fiji": 500_000,
        "peru": 1_000_000,
        "togo": 3_000_000,
    }
    fold.call(paced, steps={"chad": 3, "fiji": 3, "peru": 1, "togo": 1})


# --- late updates -----------------------------------------------------------------------------

LATE = {"late": "correct", "outer": {"momentum": 0.9, "lr": 0.7}}
FOUR = {"count": 4, "inner_steps": 3, "quorum": "1/2"}


def a_round_without_togo(fold, run):
    """A round that togo granted and sent nothing for in time; returns its plan."""
    plan, round_ = fold.call(run), fold.state.runs[run].rounds
    fold.say(granted(plan), "togo", run=run, round_=round_)
    fold.answer(run, plan, *REST)
    fold.say(fold.record(run, plan, *REST), **as_coordinator(fold, run, round_))
    return plan


@pytest.fixture
def lately(fold):
    return fold.open_run(rounds=FOUR, update=LATE)


def late_update(fold, run, plan, **changes):
    base = some(f"base {fold.state.runs[run].rounds - 1}")
    return fold.update(run, plan, "togo", **{"base": base, **changes})


def merged_late(fold, run, plan, **changes):
    """A round of the others with togo's update of the round before."""
    body = fold.record(run, plan, *MEMBERS).model_dump(mode="json")
    body["merged"]["togo"] |= {"late": True, **changes}
    return rounds.RoundCommitted(**body)


@pytest.mark.parametrize("called", [False, True], ids=["between rounds", "in the next round"])
def test_an_update_of_the_round_before_is_taken_and_merged(fold, lately, called):
    before = a_round_without_togo(fold, lately)
    plan = fold.call(lately) if called else None
    body = late_update(fold, lately, before)
    fold.say(body, "togo", run=lately, round_=0)
    fold.refuse("sent an update for this plan before", body, "togo", run=lately, round_=0)
    plan = plan or fold.call(lately)
    fold.answer(lately, plan, *REST)
    in_time = merged_late(fold, lately, plan, late=False)
    fold.refuse("'togo' did not send that update", in_time, **as_coordinator(fold, lately, 1))
    fold.say(merged_late(fold, lately, plan), **as_coordinator(fold, lately, 1))
    assert fold.state.runs[lately].late == {}
    assert fold.state.flops == str(3 * 1000 + 4 * 1000)


def test_a_late_update_stays_when_the_round_is_called_again(fold, lately):
    before = a_round_without_togo(fold, lately)
    void = fold.call(lately)
    fold.say(late_update(fold, lately, before), "togo", run=lately, round_=0)
    fold.say(rounds.RoundVoid(plan=void, reason="stalled"), **as_coordinator(fold, lately, 1))
    plan = fold.call(lately)
    fold.answer(lately, plan, *REST)
    fold.say(merged_late(fold, lately, plan), **as_coordinator(fold, lately, 1))


def test_late_updates_make_no_quorum(fold, lately):
    before = a_round_without_togo(fold, lately)
    fold.say(late_update(fold, lately, before), "togo", run=lately, round_=0)
    plan = fold.call(lately)
    fold.answer(lately, plan, "chad")
    body = fold.record(lately, plan, "chad", "togo").model_dump(mode="json")
    body["merged"]["togo"]["late"] = True
    body = rounds.RoundCommitted(**body)
    fold.refuse("1 updates of 4; the quorum is 2", body, **as_coordinator(fold, lately, 1))


def test_an_update_two_rounds_late_is_refused(fold, lately):
    old = a_round_without_togo(fold, lately)
    a_round_without_togo(fold, lately)
    body = late_update(fold, lately, old, base=some("base 0"))
    fold.refuse("is for round 0; the run is at 2", body, "togo", run=lately, round_=0)


def test_a_late_update_needs_its_grant_and_its_base(fold, lately):
    before = a_round_without_togo(fold, lately)
    where = {"run": lately, "round_": 0}
    wrong = late_update(fold, lately, before, base=some("base 1"))
    fold.refuse("starts from another base", wrong, "togo", **where)
    again = fold.update(lately, before, "fiji", base=some("base 0"))
    fold.refuse("sent an update for this plan before", again, "fiji", **where)


def test_without_the_option_a_late_update_is_refused(fold, run):
    before = a_round_without_togo(fold, run)
    body = late_update(fold, run, before)
    fold.refuse("is for round 0; the run is at 1", body, "togo", run=run, round_=0)


# --- answers ----------------------------------------------------------------------------------


def test_answers_to_another_plan_are_refused(fold, run):
    fold.call(run)
    for body in (
        granted(some("x")),
        rounds.Refused(plan=some("x"), reason="no"),
        fold.update(run, some("x"), "fiji"),
    ):
        fold.refuse("not about the plan that is open", body, "fiji", run=run, round_=0)


def test_answers_for_another_round_are_refused(fold, run):
    plan = fold.call(run)
    body = granted(plan)
    fold.refuse("is for round 1; the run is at 0", body, "fiji", run=run, round_=1)


def test_answers_without_a_plan_are_refused(fold, run):
    body = granted(some("x"))
    fold.refuse("not about the plan that is open", body, "fiji", run=run, round_=0)


def test_who_is_not_called_does_not_answer(fold, run):
    fold.halt("togo", "member", scope="self")
    plan = fold.call(run)
    body = granted(plan)
    fold.refuse("'togo' is not in the roster", body, "togo", run=run, round_=0)
    fold.refuse("the coordinator makes no statement", body, role="coordinator", run=run, round_=0)


def test_an_answer_under_another_charter_is_refused(fold, run):
    later = fold.put_charter(quorum="1/3")
    fold.adopt(votes.Amend(before=fold.charter, charter=later), rule="strong")
    fold.now += 1
    for member in MEMBERS:
        fold.say(votes.Ratification(ratified=later), member)
    plan = fold.call(run)
    body = granted(plan)
    fold.refuse("not in force", body, "fiji", run=run, round_=0, charter=fold.charter)


def test_an_answer_of_a_member_that_an_amendment_in_the_round_does_not_bind_is_refused(tmp_path):
    fold = Fold(tmp_path, amend_delay="1d")
    later = fold.put_charter(quorum="1/3", amend_delay="1d")
    run = fold.open_run()
    fold.adopt(votes.Amend(before=fold.charter, charter=later), rule="strong", delay_s=86_400)
    plan = fold.call(run)
    fold.now += 86_400
    body = granted(plan)
    fold.refuse("another charter", body, "togo", run=run, round_=0, charter=fold.charter)


def test_a_grant_in_an_earlier_round_is_no_grant_in_the_next(fold, run):
    plan = fold.round(run, *MEMBERS)
    fold.call(run)
    entry = fold.entry(granted(plan), "fiji", run=run, round_=0)
    with fold.refused("is for round 0; the run is at 1"):
        fold.take(entry)


def test_a_refusal_takes_a_grant_back_and_is_said_once(fold, run):
    plan = fold.call(run)
    fold.say(granted(plan), "fiji", run=run, round_=0)
    body = rounds.Refused(plan=plan, reason="the budget is spent")
    fold.say(body, "fiji", run=run, round_=0)
    assert fold.state.runs[run].plan.granted == ()
    fold.refuse("refused already", body, "fiji", run=run, round_=0)
    update = fold.update(run, plan, "fiji")
    fold.refuse("an update needs a grant first", update, "fiji", run=run, round_=0)


def test_a_grant_names_records_that_stand_and_no_others(fold, run):
    """So a revocation ends a member's grants, whatever its own machine says."""
    first, second = some("news"), some("law")
    fold.say(evidence.DatasetRecord(dataset="news", record=first), "fiji")
    fold.say(evidence.DatasetRecord(dataset="law", record=second), "fiji")
    plan = fold.call(run)
    fold.say(evidence.DatasetRecord(dataset="news", record=first, revoked=True), "fiji")
    body = granted(plan, dataset_records=(first, second))
    fold.refuse("does not stand", body, "fiji", run=run, round_=0)
    fold.refuse("none of the member's", granted(plan), "fiji", run=run, round_=0)
    other = granted(plan, dataset_records=(second,))
    fold.refuse("does not stand", other, "chad", run=run, round_=0)
    fold.say(other, "fiji", run=run, round_=0)


def test_who_revoked_all_its_data_cannot_go_on_as_if_it_had_described_none(fold, run):
    fold.say(evidence.DatasetRecord(dataset="news", record=some("n")), "fiji")
    fold.say(evidence.DatasetRecord(dataset="news", record=some("n"), revoked=True), "fiji")
    plan = fold.call(run)
    fold.refuse("none of the member's", granted(plan), "fiji", run=run, round_=0)
    fold.say(granted(plan), "chad", run=run, round_=0)


def test_a_grant_by_a_rule_of_the_charter_is_refused(fold, run):
    """A charter only forbids: no rule of its can have permitted anything."""
    plan = fold.call(run)
    body = granted(plan, rules=("charter-halt", "permit"))
    fold.refuse("'charter-halt' permits", body, "fiji", run=run, round_=0)


@pytest.mark.parametrize("lacking", [{"policy": None}, {"policy": "x"}, {"rules": ()}])
def test_a_grant_names_the_policy_and_a_rule(lacking):
    with pytest.raises(ValidationError):
        granted(some("plan"), **lacking)


def test_a_measurement_is_refused_for_a_base_that_the_run_had(fold, run):
    fold.round(run, *MEMBERS)
    base = fold.state.runs[run].base
    body = rounds.MeasureRefused(base=base, reason="policy: news: no rule permits")
    fold.say(body, "fiji", run=run, round_=1)
    other = rounds.MeasureRefused(base=some("x"), reason="no")
    fold.refuse("had lately", other, "fiji", run=run, round_=1)


def test_an_update_needs_a_grant_and_comes_once(fold, run):
    plan = fold.call(run)
    body = fold.update(run, plan, "fiji")
    fold.refuse("needs a grant first", body, "fiji", run=run, round_=0)
    fold.answer(run, plan, "fiji")
    fold.refuse("sent an update for this plan before", body, "fiji", run=run, round_=0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"base": some("another")}, "starts from another base"),
        ({"steps": 4}, "declares more work than was planned"),
    ],
)
def test_an_update_that_departs_from_the_plan_is_refused(fold, run, change, match):
    plan = fold.call(run)
    fold.say(granted(plan), "fiji", run=run, round_=0)
    body = fold.update(run, plan, "fiji", **change)
    fold.refuse(match, body, "fiji", run=run, round_=0)


# --- records ----------------------------------------------------------------------------------


@pytest.fixture
def plan(fold, run):
    plan = fold.call(run)
    fold.answer(run, plan, *MEMBERS)
    return plan


def merged(**changes):
    def change(body):
        found = {**body.model_dump(mode="json")["merged"], **changes}
        return {"merged": {m: one for m, one in found.items() if one is not None}}

    return change


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"plan": some("x")}, "not about the plan that is open"),
        ({"base_before": some("x")}, "does not follow from the current base"),
        (merged(togo=None), "either merged or left out"),
        ({"left_out": {"togo": "late"}}, "either merged or left out"),
        (
            merged(laos={"update": some("u"), "weight": "1/4", "norm": "1.0"}),
            "either merged or left out",
        ),
        (
            merged(togo={"update": some("another"), "weight": "1/4", "norm": "1.0"}),
            "'togo' did not send that update",
        ),
        (
            merged(togo={"update": some("update of togo"), "weight": "1/3", "norm": "1.0"}),
            "weight of 'togo' is 1/3, not 1/4",
        ),
    ],
)
def test_a_record_that_does_not_follow_is_refused(fold, run, plan, change, match):
    body = fold.record(run, plan, *MEMBERS)
    found = change(body) if callable(change) else change
    wrong = rounds.RoundCommitted(**{**body.model_dump(mode="json"), **found})
    fold.refuse(match, wrong, **as_coordinator(fold, run, 0))


def test_a_record_needs_the_quorum(fold, run):
    plan = fold.call(run)
    fold.answer(run, plan, "chad")
    body = fold.record(run, plan, "chad")
    fold.refuse("1 updates of 4; the quorum is 2", body, **as_coordinator(fold, run, 0))


def test_the_influence_cap_holds_per_legal_owner(tmp_path):
    owners = {"peru": "andes", "togo": "andes"}
    fold = Fold(tmp_path, owners=owners.items(), owner_cap="2/5")
    roster = [{"id": m, "owner": owners.get(m, "")} for m in MEMBERS]
    run = fold.open_run(roster=roster, update={"owner_cap": "2/5"})
    plan = fold.call(run)
    fold.answer(run, plan, *MEMBERS)
    body = fold.record(run, plan, *MEMBERS)
    shares = {m: str(one.weight) for m, one in body.merged.items()}
    assert shares == {"chad": "3/10", "fiji": "3/10", "peru": "1/5", "togo": "1/5"}
    fold.say(body, **as_coordinator(fold, run, 0))


def test_the_charters_cap_holds_also_where_the_run_document_is_laxer_since_an_amendment(tmp_path):
    fold = Fold(tmp_path, owner_cap="1/2")
    run = fold.open_run(update={"owner_cap": "1/2"})
    later = fold.put_charter(owner_cap="1/4")
    fold.adopt(votes.Amend(before=fold.charter, charter=later), rule="strong")
    fold.now += 1
    for member in MEMBERS:
        fold.say(votes.Ratification(ratified=later), member)
    plan = fold.call(run)
    fold.answer(run, plan, *REST)
    body = fold.record(run, plan, *REST)
    match = "'chad' has 1/3 of the weight, over the charter's cap of 1/4"
    fold.refuse(match, body, **as_coordinator(fold, run, 0))


def test_updates_that_cannot_be_weighed_make_no_round(tmp_path):
    fold = Fold(tmp_path, owner_cap="1/3")
    run = fold.open_run(update={"owner_cap": "1/3"})
    plan = fold.call(run)
    fold.answer(run, plan, "chad", "fiji")
    whole = fold.record(run, plan, *REST).model_dump(mode="json")
    whole["left_out"] = {"peru": "late", "togo": "late"}
    del whole["merged"]["peru"]
    body = rounds.RoundCommitted(**whole)
    fold.refuse("cannot make up the whole", body, **as_coordinator(fold, run, 0))


def test_compute_and_rounds_are_counted(fold, run):
    fold.round(run, *REST)
    assert fold.state.flops == fold.state.runs[run].flops == "3000"
    assert fold.state.members["togo"].rounds == 0
    assert fold.state.members["peru"].rounds == 1


def test_a_void_round_is_called_again_as_another_attempt(fold, run):
    plan = fold.call(run)
    body = rounds.RoundVoid(plan=some("x"), reason="late")
    fold.refuse("not about the plan that is open", body, **as_coordinator(fold, run, 0))
    fold.say(rounds.RoundVoid(plan=plan, reason="late"), **as_coordinator(fold, run, 0))
    assert fold.state.runs[run].attempt == 1
    fold.call(run)


# --- measurements -----------------------------------------------------------------------------


def measured(base):
    return rounds.Measured(base=base, nats="10.5", bytes=7, tokens=3, documents=1)


def test_a_base_of_this_run_is_measured_by_members_also_after_its_end(fold, run):
    fold.round(run, *MEMBERS)
    fold.say(measured(some("base 1")), "fiji", run=run, round_=1)
    fold.say(measured(some("base 0")), "fiji", run=run, round_=0)
    fold.refuse("not of a base", measured(some("base 0")), "fiji", run=run, round_=1)
    fold.refuse("not of a base", measured(some("x")), "fiji", run=run, round_=7)
    fold.round(run, *MEMBERS)
    fold.say(rounds.RunClosed(base=some("base 2")), **as_coordinator(fold, run))
    fold.say(measured(some("base 2")), "fiji", run=run, round_=2)
    fold.refuse(
        "the coordinator makes no statement",
        measured(some("base 2")),
        role="coordinator",
        run=run,
        round_=2,
    )


def test_a_base_of_long_ago_is_not_measured_any_more(tmp_path):
    fold = Fold(tmp_path)
    run = fold.open_run(rounds={"count": 20, "inner_steps": 3, "quorum": "1/2"})
    for _ in range(17):
        fold.round(run, *MEMBERS)
    fold.refuse("not of a base", measured(some("base 1")), "fiji", run=run, round_=1)
    fold.say(measured(some("base 2")), "fiji", run=run, round_=2)


def test_a_member_that_left_is_in_no_later_round(fold, run):
    fold.round(run, *MEMBERS)
    fold.say(membership.Leave(), "togo")
    fold.round(run, *REST)
    assert fold.state.members["togo"].rounds == 1

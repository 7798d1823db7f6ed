"""What no statement may do whatever its kind: another federation, an old number, a wrong key."""

import pytest
from foldlab import DAY, MEMBERS, NOON, Fold, key, public, some

from concord.base.errors import StatementRefused
from concord.ledger.entries import Entry, refuse_future
from concord.ledger.state.apply import apply, replay
from concord.ledger.state.model import State
from concord.ledger.statements import evidence, membership, oversight, rounds, votes

COMMENT = "there is no such proposal"


@pytest.fixture
def fold(tmp_path):
    return Fold(tmp_path)


def word(fold, **other):
    """A harmless statement."""
    return evidence.DatasetRecord(dataset="news", record=some("news"))


def test_a_statement_of_another_federation_is_refused(tmp_path, fold):
    (tmp_path / "other").mkdir()
    other = Fold(tmp_path / "other", members=("chad", "fiji", "peru"))
    entry = other.entry(word(other), "chad")
    with fold.refused("another federation"):
        fold.take(entry)


def test_a_federation_is_founded_once(fold):
    entry = fold.entries[0]
    with fold.refused("another federation"):
        fold.take(entry)


def test_nothing_comes_before_the_founding_statement(fold):
    entry = fold.entry(word(fold))
    with pytest.raises(StatementRefused, match="another federation"):
        apply(State(), entry, fold.library)


def test_a_refused_entry_is_named_by_its_place_kind_and_author(fold):
    entry = fold.entry(word(fold), seq=0)
    with pytest.raises(StatementRefused) as refused:
        fold.take(fold.entry(word(fold), "fiji", signers=["chad"]))
    assert refused.value.where == "entry 1 (dataset-record by fiji): signatures"
    assert entry


def test_the_same_statement_again_is_a_replay(fold):
    entry = fold.entry(word(fold))
    fold.take(entry)
    with fold.refused("a replay"):
        fold.take(entry)


def test_an_older_number_of_the_same_author_is_a_replay(fold):
    fold.say(word(fold), seq=9)
    fold.refuse("a replay", word(fold), seq=8)


def test_numbers_of_two_authors_and_of_two_roles_do_not_meet(fold):
    fold.say(word(fold), "chad", seq=9)
    fold.say(word(fold), "fiji", seq=3)
    run = fold.put_run()
    fold.refuse("not adopted", opening(), role="coordinator", run=run, seq=2)


def opening():
    return rounds.RunOpening(first_base=some("base 0"), record=some("record 0"))


def test_a_statement_much_older_than_the_one_before_it_is_refused(fold):
    fold.say(word(fold))
    fold.say(word(fold), "fiji", time=NOON - 600)
    fold.refuse("is older than what stands before it", word(fold), "peru", time=NOON - 601)


def test_the_time_of_the_state_never_goes_back(fold):
    fold.say(word(fold), time=NOON + 100)
    fold.say(word(fold), "fiji", time=NOON + 1)
    assert fold.state.time == NOON + 100


def test_a_statement_from_the_future_is_refused_at_the_desk(fold):
    entry = fold.entry(word(fold), time=NOON + 601)
    refuse_future(entry, NOON + 1, 600)
    with pytest.raises(StatementRefused, match="from the future: 601 s ahead"):
        refuse_future(entry, NOON, 600)


def test_a_charter_that_is_not_in_force_binds_nobody(fold):
    other = fold.put_charter(quorum="1/3")
    fold.refuse("not in force", word(fold), charter=other)


# --- signatures -------------------------------------------------------------------------------


def test_a_statement_signed_by_another_member_is_refused(fold):
    fold.refuse("no say here", word(fold), "chad", signers=["fiji"])


def test_a_signature_more_than_is_asked_for_is_refused(fold):
    fold.refuse("no say here", word(fold), "chad", signers=["chad", "fiji"])


def test_a_forged_signature_is_refused(fold):
    entry = fold.entry(word(fold))
    good = entry.envelope.signatures[0]
    forged = good.signature[:-1] + bytes([good.signature[-1] ^ 1])
    altered = type(entry.envelope)(
        entry.envelope.payload, entry.envelope.payload_type, (type(good)(good.key_id, forged),)
    )
    with fold.refused("signature is wrong"):
        fold.take(Entry.parse(altered.encode()))


@pytest.mark.parametrize("by", ["laos", "ada"])
def test_who_is_no_member_does_not_speak_as_one(fold, by):
    fold.refuse("is no member", word(fold), by)


def test_who_left_does_not_speak_any_more(fold):
    fold.say(membership.Leave(), "togo")
    fold.refuse("is no member", word(fold), "togo")


def test_only_the_oversight_body_speaks_for_it(fold):
    halt = oversight.Halt(scope="all", ground="fire", reason="", until=NOON + 60)
    fold.refuse("not of the oversight body", halt, "chad", "overseer")
    fold.refuse("makes no statement of kind 'dataset-record'", word(fold), "ada", "overseer")


@pytest.mark.parametrize("role", ["applicant", "founders"])
def test_roles_of_the_door_say_nothing_inside(fold, role):
    fold.refuse("cannot make this statement", word(fold), "chad", role)


@pytest.mark.parametrize("by", ["fiji", "laos"])
def test_only_its_holder_speaks_as_the_coordinator(fold, by):
    run = fold.put_run()
    fold.refuse("does not run the coordinator", opening(), by, "coordinator", run=run)


@pytest.mark.parametrize(
    "body",
    [
        membership.KeyRevocation(party="fiji", key=public("fiji"), replacement=public("thief")),
        membership.Handover(
            manner="takeover",
            term=1,
            coordinator=membership.CoordinatorEntry(member="chad", log_key=public("new log")),
        ),
        membership.KeyRotation(purpose="identity", old=public("chad"), new=public("chad 2")),
        oversight.Halt(scope="all", ground="fire", reason="", until=NOON + 60),
        oversight.HaltExtension(halt=some("halt"), until=NOON + 60),
        votes.Ballot(proposal=some("proposal"), choice="yes"),
        membership.Leave(),
    ],
    ids=lambda body: body.KIND,
)
def test_the_coordinators_role_gives_no_power_of_a_member(fold, body):
    fold.refuse("the coordinator makes no statement of kind", body, "chad", "coordinator")


@pytest.mark.parametrize(
    "body",
    [
        rounds.RunOpening(first_base=some("b"), record=some("r")),
        rounds.RunClosed(base=some("b")),
        evidence.Release(version="1", model=some("m"), manifest=some("f"), decision=some("d")),
    ],
    ids=lambda body: body.KIND,
)
def test_what_the_coordinator_says_no_member_says(fold, body):
    run = fold.put_run() if body.NEEDS_RUN else None
    fold.refuse("in the role 'coordinator' only", body, "fiji", run=run)


# --- what is said by command while a run goes on -------------------------------------------------


def recorded(fold, *, revoked=False):
    return evidence.DatasetRecord(dataset="news", record=some("record"), revoked=revoked)


@pytest.fixture
def running(fold):
    """A federation in a round; fiji's process can speak."""
    fold.say(recorded(fold), "fiji")
    run = fold.open_run()
    plan = fold.call(run)

    def speak():
        fold.say(rounds.Refused(plan=plan, reason="busy"), "fiji", run=run, round_=0)

    fold.speak = speak
    return fold


@pytest.mark.parametrize(
    "body",
    [
        evidence.DatasetRecord(dataset="news", record=some("record"), revoked=True),
        oversight.Halt(scope="self", ground="audit", reason="", until=NOON + 2 * DAY),
        membership.Leave(),
    ],
    ids=lambda body: body.KIND,
)
def test_what_only_forbids_holds_however_long_it_waited(running, body):
    late = running.entry(body, "fiji")
    running.now += DAY
    running.say(word(running), "chad")
    running.take(late)
    assert running.state.size == len(running.entries)


def test_a_statement_by_command_may_stand_behind_what_the_process_said_later(running):
    late = running.entry(recorded(running), "fiji")
    running.speak()
    running.take(late)


def test_what_permits_does_not_wait_for_ever(running):
    late = running.entry(recorded(running), "fiji")
    running.now += DAY
    running.say(word(running), "chad")
    with running.refused("is older than what stands before it"):
        running.take(late)


def test_what_was_said_by_command_keeps_its_order(running):
    first = running.entry(recorded(running, revoked=True), "fiji")
    running.say(recorded(running), "fiji")
    with running.refused("a replay"):
        running.take(first)


def test_a_revocation_does_not_come_twice(running):
    late = running.entry(recorded(running, revoked=True), "fiji")
    running.speak()
    running.take(late)
    running.say(recorded(running), "fiji")
    with running.refused("a replay"):
        running.take(late)


def test_no_number_serves_twice_though_lanes_are_two(running):
    running.speak()
    assert running.state.next_number("member", "fiji") == running.seq + 1


# --- what several sign, over days ---------------------------------------------------------------


def test_signatures_of_several_may_take_days_and_others_may_speak_meanwhile(fold):
    body = membership.Handover(
        manner="takeover",
        term=1,
        coordinator=membership.CoordinatorEntry(member="fiji", log_key=public("fiji/log")),
    )
    entry = fold.entry(body, "fiji", signers=["fiji", "peru", "togo"])
    fold.now += 3 * DAY
    fold.say(word(fold), "fiji")
    fold.take(entry)
    assert fold.state.coordinator.member == "fiji"
    assert fold.state.seqs["member:fiji"] == fold.seq, "the higher number stands"


def test_after_a_week_they_are_too_old(fold):
    body = membership.Handover(
        manner="takeover",
        term=1,
        coordinator=membership.CoordinatorEntry(member="fiji", log_key=public("fiji/log")),
    )
    entry = fold.entry(body, "fiji", signers=["fiji", "peru", "togo"])
    fold.now += 7 * DAY + 1
    fold.say(word(fold), "fiji")
    with fold.refused("is older than what stands before it"):
        fold.take(entry)


def test_a_halt_whose_time_is_over_before_it_is_filed_is_refused(fold):
    body = oversight.Halt(scope="all", ground="fire", reason="", until=NOON + DAY)
    entry = fold.entry(body, "ada", "overseer")
    fold.now += 2 * DAY
    fold.say(word(fold), "fiji")
    with fold.refused("is over already"):
        fold.take(entry)


# --- the fold as a whole ------------------------------------------------------------------------


def test_a_replay_of_all_entries_ends_in_the_same_state(fold):
    fold.say(word(fold))
    fold.vote(fold.propose(votes.Ordinary()), "yes", *MEMBERS)
    again = replay((Entry.parse(entry.data) for entry in fold.entries), fold.library)
    assert again.digest == fold.state.digest


def test_the_order_of_signatures_does_not_matter(fold):
    body = oversight.Halt(scope="all", ground="fire", reason="", until=NOON + DAY)
    one = fold.entry(body, "chad", signers=["chad", "fiji"], seq=50)
    other = Entry.sign(one.statement, [key("fiji"), key("chad")])
    states = [apply(fold.state, entry, fold.library) for entry in (one, other)]
    assert states[0].digest == states[1].digest

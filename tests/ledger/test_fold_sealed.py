"""Sealed mode in the fold: what may happen once happens once, whoever asks for more."""

import pytest

from concord.base.errors import SealRefused, StatementRefused
from concord.ledger.state.sealing import check_merged
from concord.ledger.statements.rounds import Refused, UpdateSent
from concord.ledger.statements.sealing import (
    BeaconShown,
    CohortsDrawn,
    EpochOpened,
    KeysClosed,
)
from concord.testing.history import History
from concord.testing.run_history import granted
from concord.testing.sealed_history import SealedHistory, sealed_run

MEMBERS = ("chad", "fiji", "iran", "laos", "peru")
MODES = '["open", "sealed"]'


@pytest.fixture
def sealed(tmp_path):
    """A sealed run, adopted and opened, without keys yet."""
    return SealedHistory(History(tmp_path, MEMBERS, modes=MODES), sealed_run(MEMBERS))


@pytest.fixture
def keyed(sealed):
    sealed.open_epoch()
    return sealed


@pytest.fixture
def masking(keyed):
    """A round whose masking set is named."""
    keyed.call()
    keyed.set_up(*MEMBERS)
    keyed.name_masking_set(*MEMBERS)
    return keyed


@pytest.fixture
def surviving(masking):
    """A round whose survivor set is named: iran sent nothing."""
    masking.send("chad", "fiji", "laos", "peru")
    masking.name_survivors("chad", "fiji", "laos", "peru")
    return masking


def refused(match):
    return pytest.raises(StatementRefused, match=match)


# --- where sealed mode is allowed -----------------------------------------------------------


def test_a_charter_that_does_not_allow_sealed_mode_refuses_the_run(tmp_path):
    history = History(tmp_path, MEMBERS)
    with refused("does not allow sealed mode"):
        SealedHistory(history, sealed_run(MEMBERS))


def test_sealed_mode_needs_witnesses(tmp_path):
    history = History(tmp_path, MEMBERS, modes=MODES, witnessed="false")
    with refused("needs witnesses"):
        SealedHistory(history, sealed_run(MEMBERS))


def test_a_sealed_run_takes_no_open_plan(keyed):
    with refused("open mode is not that of run"):
        keyed.call(mode="open", epoch=None, scales=None)


def test_an_open_run_has_no_epochs(tmp_path):
    history = History(tmp_path, MEMBERS, modes=MODES)
    run = history.adopt()
    with refused("open mode"):
        run.coordinator(EpochOpened(number=0, members=MEMBERS, reason="a test"))


# --- epochs ---------------------------------------------------------------------------------


def test_no_round_is_called_before_there_are_keys(sealed):
    with pytest.raises((StatementRefused, AttributeError)):
        sealed.call()


def test_keys_that_are_in_use_are_not_made_anew(keyed):
    with refused("needs no other"):
        keyed.open_epoch()


def test_keys_are_made_anew_when_the_epoch_is_old(keyed):
    keyed.history.now += 31 * 86_400
    with refused("new keys are needed: the epoch is older"):
        keyed.call()
    keyed.open_epoch()
    keyed.round_of()


def test_a_member_that_gave_no_key_is_out_until_it_comes_back(sealed):
    sealed.open_epoch(asked=MEMBERS[:4])
    sealed.round_of(*MEMBERS[:4])
    assert "peru" not in sealed.epoch.cohorts[0].members
    sealed.open_epoch()
    sealed.round_of()


def test_a_copied_key_is_refused(sealed):
    with refused("have the same"):
        _copied_key(sealed)


def _copied_key(sealed):
    history = sealed.history
    body = EpochOpened(number=0, members=MEMBERS, reason="a test")
    sealed.coordinator(body, in_round=False)
    first = sealed.pens["chad"].show_key(sealed.epoch, sealed.coverage.digest)
    sealed.say(first, "chad", in_round=False)
    history.say(first, "fiji", run=sealed.digest)


def test_another_beacon_than_committed_to_is_refused(sealed):
    body = EpochOpened(number=0, members=MEMBERS, reason="a test")
    sealed.coordinator(body, in_round=False)
    for member in MEMBERS:
        sealed.say(sealed.pens[member].show_key(sealed.epoch, sealed.coverage.digest), member,
                   in_round=False)  # fmt: skip
    keys = {m: sealed.epoch.statements[m] for m in MEMBERS}
    with refused("not the list of all keys"):
        short = {m: keys[m] for m in MEMBERS[:4]}
        sealed.coordinator(KeysClosed(epoch=sealed.epoch.digest, keys=short), in_round=False)
    sealed.coordinator(KeysClosed(epoch=sealed.epoch.digest, keys=keys), in_round=False)
    with refused("not the beacon it committed to"):
        sealed.say(BeaconShown(epoch=sealed.epoch.digest, beacon="ab" * 32), "fiji",
                   in_round=False)  # fmt: skip
    for member in MEMBERS:
        sealed.say(sealed.pens[member].show_beacon(sealed.epoch), member, in_round=False)
    packed = CohortsDrawn(epoch=sealed.epoch.digest, cohorts=(MEMBERS[:4],))
    with refused("not those that follow from the beacons"):
        sealed.coordinator(packed, in_round=False)


# --- a round --------------------------------------------------------------------------------


def test_a_round_with_a_drop_out_is_committed(keyed):
    keyed.round_of(dropped=["iran"])
    assert keyed.rounds.round == 1


def test_there_is_one_masking_set(masking):
    with refused("masking set was named before"):
        masking.name_masking_set(*MEMBERS[:4])


def test_there_is_one_survivor_set(surviving):
    with refused("survivor set was named before"):
        surviving.name_survivors("chad", "fiji", "laos", "iran")


def test_a_masking_set_holds_only_members_that_were_set_up(keyed):
    keyed.call()
    keyed.set_up(*MEMBERS[:4])
    with refused("'peru' was not set up"):
        keyed.name_masking_set(*MEMBERS)


def test_sets_that_are_too_small_are_refused(masking):
    masking.send("chad", "fiji", "laos")
    with refused("3 members of 5; a sealed sum needs 4"):
        masking.name_survivors("chad", "fiji", "laos")


def test_a_survivor_that_sent_nothing_is_refused(masking):
    masking.send("chad", "fiji", "laos", "peru")
    with refused("'iran' sent no update"):
        masking.name_survivors(*MEMBERS)


def test_an_update_that_arrives_late_is_not_taken(surviving):
    surviving.masked("iran")
    with refused("comes after the survivor set"):
        surviving.say(surviving.commitment("iran"), "iran")


def test_a_second_update_of_one_plan_is_refused(masking):
    masking.send("chad")
    with refused("sent an update for this plan before"):
        masking.say(masking.commitment("chad", update="sha256:" + "0" * 64), "chad")


def test_an_update_without_a_mask_is_refused(masking):
    body = UpdateSent(plan=masking.plan, base=masking.round.plan.base, update="sha256:" + "0" * 64,
                      bytes=1, steps=1, tokens=1, flops=1, train_s=1.0,
                      mean_loss=1.0)  # fmt: skip
    with refused("without a mask"):
        masking.say(body, "chad")


def test_an_update_from_a_void_attempt_is_not_taken_again(masking):
    masking.send(*MEMBERS)
    before = {m: masking.files[m] for m in MEMBERS}
    masking.void()
    masking.call()
    masking.set_up(*MEMBERS)
    masking.name_masking_set(*MEMBERS)
    masking.files = before
    with refused("must be trained anew"):
        masking.say(masking.commitment("chad"), "chad")


def test_a_member_does_not_mask_the_same_training_again_in_a_new_attempt(masking):
    values = {m: masking.values(m) for m in MEMBERS}
    masking.send(*MEMBERS)
    masking.void()
    masking.call()
    masking.set_up(*MEMBERS)
    masking.name_masking_set(*MEMBERS)
    with pytest.raises(SealRefused, match="went into another instance"):
        masking.masked("chad", values["chad"])


def test_nobody_unmasks_before_the_survivor_set_or_twice(surviving):
    with pytest.raises(SealRefused, match="there is no masking-set"):
        surviving.unmask("iran")
    surviving.unmask("chad")
    with refused("unmasked before"):
        surviving.unmask("chad")


def test_a_member_answers_one_survivor_set_only_whatever_the_log_says(surviving):
    surviving.unmask("chad")
    book = surviving.round
    book.survivors = {0: ("chad", "fiji", "iran", "laos")}
    with pytest.raises(SealRefused, match="another survivor-set was kept"):
        surviving.pens["chad"].unmask(book)


def test_a_member_refuses_another_base_and_an_incomplete_masking_set(masking):
    book = masking.round
    book.masking = {0: ("chad", "fiji", "iran")}
    with pytest.raises(SealRefused, match="too few"):
        masking.pens["chad"].accept_masking_set(book)
    book = masking.round
    book.plan = book.plan.model_copy(update={"base": "sha256:" + "1" * 64})
    with pytest.raises(SealRefused, match="under other facts"):
        masking.pens["chad"].accept_masking_set(book)


def test_a_commit_with_too_few_shares_is_refused(surviving):
    surviving.unmask(*surviving.round.survivors[0])
    before = surviving.history.state.runs[surviving.digest].plan
    sealed_seat = before.sealed.model_copy(update={"unmasked": before.sealed.unmasked[:3]})
    plan = before.model_copy(update={"sealed": sealed_seat})
    seat = surviving.history.state.runs[surviving.digest]
    with refused("3 members of cohort 0 unmasked; 4 are needed"):
        check_merged(seat, plan, surviving.round.survivors[0], surviving.run)
    with refused("without the whole survivor set"):
        check_merged(seat, before, ("chad", "fiji"), surviving.run)


def test_a_third_attempt_is_refused_when_two_sums_may_be_known(keyed):
    for _ in range(2):
        keyed.call()
        keyed.set_up(*MEMBERS)
        keyed.name_masking_set(*MEMBERS)
        keyed.send(*MEMBERS)
        keyed.name_survivors(*MEMBERS)
        keyed.void()
    with refused("the sums of 2 attempts"):
        keyed.call()


def test_attempts_of_which_nothing_can_be_known_are_not_counted(keyed):
    for _ in range(4):
        keyed.call()
        keyed.set_up(*MEMBERS)
        keyed.name_masking_set(*MEMBERS)
        keyed.send(*MEMBERS)
        keyed.void()
    keyed.round_of()
    assert keyed.rounds.round == 1


def test_a_member_may_refuse_after_its_set_up(keyed):
    keyed.call()
    keyed.set_up(*MEMBERS)
    keyed.say(Refused(plan=keyed.plan, reason="sealed: no"), "peru")
    keyed.name_masking_set(*MEMBERS[:4])
    keyed.send(*MEMBERS[:4])
    keyed.name_survivors(*MEMBERS[:4])
    keyed.unmask(*MEMBERS[:4])
    keyed.commit()
    assert keyed.rounds.round == 1


def test_a_set_up_needs_a_grant(keyed):
    keyed.call()
    with refused("needs a grant first"):
        keyed.say(keyed.pens["chad"].set_up(keyed.round), "chad")


def test_a_set_up_in_anothers_name_is_refused(keyed):
    keyed.call()
    keyed.say(granted(keyed.plan), "fiji")
    body = keyed.pens["chad"].set_up(keyed.round)
    with refused("is another member's"):
        keyed.say(body, "fiji")

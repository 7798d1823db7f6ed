"""Damaged payloads: none gets in, nothing crashes, and the round completes without a trace of them.

`benchmarks/fuzz_payloads.py` sends ten thousand of each kind; here is a part, from a seed.
"""

from random import Random

import pytest
from disklab import full_disk

from concord.base.errors import StorageError
from concord.federation.messages import Progress, encode_message
from concord.testing.gauntlet import ACCEPTED, Gauntlet, framed, said
from concord.testing.mutations import mutated

MEMBERS = ("chad", "fiji", "iran", "peru")
SAMPLES = 250


@pytest.fixture
def gauntlet(tmp_path):
    return Gauntlet(tmp_path, MEMBERS)


def completes(gauntlet, members):
    for member in members:
        payload = gauntlet.payload(member)
        frame = said(gauntlet.entry(member, payload), payload)
        assert gauntlet.outcome(member, frame) == ACCEPTED
    record = gauntlet.close()
    assert set(record.contributions) == set(members)
    return record.base


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The base that all four lead to, and the one without fiji."""
    return [
        completes(Gauntlet(tmp_path_factory.mktemp("calm"), MEMBERS), members)
        for members in (MEMBERS, tuple(m for m in MEMBERS if m != "fiji"))
    ]


def test_no_payload_damaged_on_the_way_is_accepted(gauntlet, undisturbed):
    """What was signed is its digest: any other bytes are refused, whatever they hold."""
    draw, payload = Random(1), gauntlet.payload("fiji")
    entry = gauntlet.entry("fiji", payload)
    for _ in range(SAMPLES):
        found = gauntlet.outcome("fiji", said(entry, mutated(payload, draw)))
        assert "payload does not match its digest" in found
    assert gauntlet.spooled == 0
    assert completes(gauntlet, MEMBERS) == undisturbed[0], "the right bytes still get in"


def test_no_damaged_frame_is_accepted(gauntlet, undisturbed):
    """Message, statement, signature or payload: wherever the damage lies, it is seen."""
    draw, payload = Random(2), gauntlet.payload("fiji")
    frame = said(gauntlet.entry("fiji", payload), payload)
    for _ in range(SAMPLES):
        damaged = mutated(frame, draw)
        if not damaged.startswith(frame):  # bytes behind a whole frame begin the next one
            assert gauntlet.outcome("fiji", damaged) != ACCEPTED
    assert (gauntlet.spooled, gauntlet.merge.accepted) == (0, frozenset())
    assert completes(gauntlet, MEMBERS) == undisturbed[0]


def test_a_member_that_signs_damaged_payloads_harms_itself_alone(gauntlet, undisturbed):
    """It may sign what it likes: what is not an update of this round is refused with a reason."""
    draw, payload = Random(3), gauntlet.payload("fiji")
    before, refused = gauntlet.history.state, 0
    for _ in range(SAMPLES):
        damaged = mutated(payload, draw)
        found = gauntlet.outcome("fiji", said(gauntlet.entry("fiji", damaged), damaged))
        if found != ACCEPTED:
            refused += 1
            assert found.startswith("UpdateRefused")
            continue
        # A flip among codes makes another update of the same form: that is fiji's to send.
        taken = gauntlet.merge.accepted
        assert taken == {"fiji"}
        gauntlet.merge.discard()
        gauntlet.history.replica.state = before
    assert refused > SAMPLES / 3
    assert gauntlet.spooled == 0
    assert completes(gauntlet, [m for m in MEMBERS if m != "fiji"]) == undisturbed[1]


# --- replay, clocks, roles --------------------------------------------------------------------


def test_another_members_frame_is_not_ones_own(gauntlet):
    payload = gauntlet.payload("fiji")
    frame = said(gauntlet.entry("fiji", payload), payload)
    assert "came from 'peru' and names 'fiji'" in gauntlet.outcome("peru", frame)


def test_another_members_payload_under_ones_own_statement_is_refused(gauntlet):
    payload = gauntlet.payload("fiji")
    found = gauntlet.outcome("peru", said(gauntlet.entry("peru", payload), payload))
    assert "names another sender" in found


def test_a_frame_sent_twice_counts_once(gauntlet):
    payload = gauntlet.payload("fiji")
    frame = said(gauntlet.entry("fiji", payload), payload)
    assert gauntlet.outcome("fiji", frame) == ACCEPTED
    assert "StatementRefused" in gauntlet.outcome("fiji", frame)
    again = said(gauntlet.entry("fiji", payload), payload)
    assert "sent an update for this plan before" in gauntlet.outcome("fiji", again)


def test_a_frame_of_another_federation_and_run_is_refused(gauntlet, tmp_path):
    other = Gauntlet(tmp_path / "other", (*MEMBERS, "togo"))
    payload = other.payload("fiji")
    found = gauntlet.outcome("fiji", said(other.entry("fiji", payload), payload))
    assert found.startswith("StatementRefused")


def test_a_payload_of_another_run_is_refused(gauntlet, tmp_path):
    other = Gauntlet(tmp_path / "other", MEMBERS, {"codec": "int4", "hostile": 2})
    payload = other.payload("fiji")
    found = gauntlet.outcome("fiji", said(gauntlet.entry("fiji", payload), payload))
    assert "belongs to another run" in found


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_an_hour_off_is_refused_and_changes_nothing(gauntlet, hours):
    payload = gauntlet.payload("fiji")
    frame = said(gauntlet.entry("fiji", payload, ahead_s=3600 * hours), payload)
    before_, found = gauntlet.history.state.digest, gauntlet.outcome("fiji", frame)
    assert "StatementRefused" in found
    assert ("older than what stands before it" in found) == (hours < 0)
    assert gauntlet.history.state.digest == before_
    assert (gauntlet.spooled, gauntlet.merge.accepted) == (0, frozenset())


def test_a_clock_within_the_agreed_skew_is_no_fault(gauntlet):
    payload = gauntlet.payload("fiji")
    frame = said(gauntlet.entry("fiji", payload, ahead_s=500), payload)
    assert gauntlet.outcome("fiji", frame) == ACCEPTED


def test_a_message_that_was_not_asked_for_takes_no_payload_in(gauntlet):
    message = encode_message(Progress(round=0, steps=1, tokens=1))
    assert "was not asked for" in gauntlet.outcome("fiji", framed(message, b"x" * 100))


def test_a_full_disk_commits_nothing_and_the_round_completes_when_there_is_room(
    gauntlet, undisturbed
):
    for member in MEMBERS:
        payload = gauntlet.payload(member)
        frame = said(gauntlet.entry(member, payload), payload)
        assert gauntlet.outcome(member, frame) == ACCEPTED
    state = gauntlet.merge.state
    before_ = state.current.digest
    with full_disk(1000), pytest.raises(StorageError):
        gauntlet.close()
    assert state.current.digest == before_
    assert state.committed == 0
    assert gauntlet.close().base == undisturbed[0]

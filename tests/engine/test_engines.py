"""What every engine does, whatever carries its bytes."""

import os

import pytest
from enginelab import (
    MEMBERS,
    FlareRig,
    Joined,
    LocalRig,
    Lost,
    Received,
    SendBase,
    all_joined,
    ask,
    wait,
)

from concord.federation.messages import FROM_MEMBER, decode_message


@pytest.fixture(params=[LocalRig, FlareRig], ids=["local", "flare"])
def rig_of(request, tmp_path):
    rigs = []

    def make(**options):
        rig = request.param(tmp_path, **options)
        rig.start()
        rigs.append(rig)
        return rig

    yield make
    for rig in rigs:
        rig.stop()


def test_every_member_joins_once(rig_of):
    engine = rig_of().engine
    assert all_joined(engine)
    assert engine.next_event(0.1) is None


def test_messages_come_back_in_order(rig_of):
    engine = rig_of().engine
    assert all_joined(engine)
    engine.send("chad", ask(2))
    steps = [
        decode_message(FROM_MEMBER, wait(engine, Received, "chad").frame.message, sender="").steps
        for _ in range(3)
    ]
    assert steps == [0, 1, 2]


@pytest.mark.parametrize("size", [1, 100_000, 3_000_001])
def test_a_payload_goes_there_and_back_unchanged(rig_of, tmp_path, size):
    engine = rig_of().engine
    assert all_joined(engine)
    payload = os.urandom(size)
    (tmp_path / "base").write_bytes(payload)
    engine.send("chad", ask(), tmp_path / "base")
    engine.send("fiji", ask(), payload)
    for _ in MEMBERS:
        assert wait(engine, Received).frame.read_payload() == payload
    assert (tmp_path / "base").read_bytes() == payload
    assert list((tmp_path / "spool").iterdir()) == []


def test_traffic_counts_what_crossed_both_ways(rig_of):
    engine = rig_of().engine
    assert all_joined(engine)
    engine.send("chad", ask(), os.urandom(2_000_000))
    wait(engine, Received, "chad")
    traffic, other = engine.traffic("chad"), engine.traffic("fiji")
    assert 2_000_000 < traffic.up_bytes < 2_040_000
    assert 2_000_000 < traffic.down_bytes < 2_040_000
    assert other.up_bytes < 10_000


def test_a_member_that_ends_is_lost_and_comes_back(rig_of):
    engine = rig_of().engine
    assert all_joined(engine)
    engine.send("chad", ask(1))
    assert not wait(engine, Lost, "chad").final
    wait(engine, Joined, "chad")
    engine.send("chad", ask(), b"again")
    assert wait(engine, Received, "chad").frame.read_payload() == b"again"


def test_a_member_that_is_cut_off_may_come_back(rig_of):
    engine = rig_of().engine
    assert all_joined(engine)
    engine.disconnect("fiji", "said what nobody asked")
    assert wait(engine, Lost, "fiji").reason == "said what nobody asked"
    wait(engine, Joined, "fiji")


@pytest.mark.parametrize("size", [900_000, 1_500_000])
def test_a_payload_larger_than_agreed_ends_the_connection_unread(rig_of, tmp_path, size):
    engine = rig_of(most=800_000).engine
    assert all_joined(engine)
    engine.send("chad", ask(size))
    assert "larger than agreed" in wait(engine, Lost, "chad").reason
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_member_that_sends_far_more_than_it_was_asked_is_cut_off(rig_of):
    engine = rig_of().engine
    assert all_joined(engine)
    engine.send("chad", ask(3))
    assert "far more messages" in wait(engine, Lost, "chad").reason


def test_a_message_to_a_lost_member_does_nothing(rig_of):
    engine = rig_of().engine
    assert all_joined(engine)
    engine.disconnect("fiji", "gone")
    engine.send("fiji", SendBase())
    assert wait(engine, Lost, "fiji").reason == "gone"


def test_the_others_go_on_while_one_hangs(rig_of):
    engine = rig_of().engine
    assert all_joined(engine)
    engine.send("chad", SendBase())  # never answered
    engine.send("fiji", ask(), b"here")
    assert wait(engine, Received).member == "fiji"

"""Rounds event by event: answers worked out by hand."""

import pytest
from planlab import instant, members, period_s, rule

from concord.base.errors import InternalError
from concord.federation.planning.flows import Link
from concord.federation.planning.law import Setting
from concord.federation.planning.simulator import Simulator


def test_a_slow_member_is_left_out_when_the_grace_after_the_quorum_is_over():
    simulator = Simulator(
        instant(4), members(10, 10, 10, 40), rule("3/4", grace_share=0.5), overlap=0
    )
    rounds = simulator.run(3)
    assert [one.committed_s for one in rounds] == [15, 30, 45]
    assert {one.left_out for one in rounds} == {(3,)}
    assert "grace of 5.0 s is over" in rounds[0].reason


def test_a_slow_member_within_the_grace_is_waited_for():
    simulator = Simulator(
        instant(4), members(10, 10, 10, 14), rule("3/4", grace_share=0.5), overlap=0
    )
    assert [one.committed_s for one in simulator.run(3)] == [14, 28, 42]


def test_a_member_that_is_away_in_a_round_is_not_waited_for_and_is_in_the_next():
    simulator = Simulator(
        instant(3),
        members(10, 10, 12),
        rule("2/3", grace_share=0.5),
        overlap=0,
        absent=lambda round_: {2} if round_ % 2 else (),
    )
    rounds = simulator.run(4)
    assert [one.accepted for one in rounds] == [(0, 1, 2), (0, 1), (0, 1, 2), (0, 1)]
    assert [one.committed_s for one in rounds] == [12, 22, 34, 44]


def test_uploads_that_come_together_share_the_coordinators_link():
    # 4 members x 100 Mbit over 200 Mbit/s: two seconds; alone each would take half a second.
    setting = Setting(4, 7.0, 12.5e6, 0, 2e8, hub_bits=2e8)
    assert period_s(setting, overlap=0) == pytest.approx(9.0)


def test_a_member_behind_a_thin_link_leaves_its_share_to_the_others():
    link = Link(3e8)
    link.begin(0, 12.5e6, 5e7)
    link.begin(1, 12.5e6, 1e9)
    assert link.next_s() == pytest.approx(0.4)  # 100 Mbit at 250 Mbit/s
    assert link.advance(0.4) == [1]
    assert link.next_s() == pytest.approx(1.6)  # 100 Mbit at 50 Mbit/s, 0.4 s of it gone


def test_the_coordinator_screens_one_update_after_another():
    setting = Setting(5, 10.0, 0, 0, 1e8, screen_s=2.0, merge_s=3.0)
    assert period_s(setting, overlap=0) == pytest.approx(10 + 5 * 2 + 3)


def test_overlap_hides_the_exchange_until_it_takes_longer_than_training():
    exchange = {"up_bytes": 12.5e6, "down_bytes": 12.5e6, "link_bits": 1e8}  # one second each
    assert period_s(Setting(2, 5.0, **exchange), overlap=1) == pytest.approx(5.0)
    assert period_s(Setting(2, 1.5, **exchange), overlap=1) == pytest.approx(2.0)


def test_steps_ahead_hide_as_much_of_the_exchange_as_they_take():
    exchange = {"up_bytes": 12.5e6, "down_bytes": 12.5e6, "link_bits": 1e8}  # one second each
    assert period_s(Setting(2, 8.0, **exchange), overlap=0.25) == pytest.approx(8.0)
    assert period_s(Setting(2, 8.0, **exchange), overlap=0.125) == pytest.approx(9.0)
    assert period_s(Setting(2, 4.0, **exchange), overlap=0.25) == pytest.approx(5.0)


def test_a_round_that_never_finds_a_quorum_ends_the_simulation():
    simulator = Simulator(
        instant(4), members(1, 1, 1, 1), rule("3/4"), overlap=0, absent=lambda _: {0, 1}
    )
    with pytest.raises(InternalError, match="finds no quorum"):
        simulator.run(1)

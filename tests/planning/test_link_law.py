"""The closed form: against the published link law, and against the simulator."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planlab import members, period_s

from concord.federation.planning.law import Setting, train_s

FLOPS = 3.2e15
LINK_LAW = [
    # bytes per parameter and round, up and down; then for tokens and link: blocking, overlapped, %
    (8.0, (5e6, 1e8, "1.4", "1.5"), (15e6, 1e8, "4.2", "4.4"), (15e6, 1e9, "31", "44"),
     (60e6, 1e8, "15", "18")),
    (2.0, (5e6, 1e8, "5.5", "5.9"), (15e6, 1e8, "15", "18"), (15e6, 1e9, "64", "100"),
     (60e6, 1e8, "41", "70")),
    (1.0, (5e6, 1e8, "10", "12"), (15e6, 1e8, "26", "35"), (15e6, 1e9, "78", "100"),
     (60e6, 1e8, "58", "100")),
    (0.136, (5e6, 1e8, "46", "86"), (15e6, 1e8, "72", "100"), (15e6, 1e9, "96", "100"),
     (60e6, 1e8, "91", "100")),
    (0.055, (5e6, 1e8, "68", "100"), (15e6, 1e8, "86", "100"), (15e6, 1e9, "98", "100"),
     (60e6, 1e8, "96", "100")),
]  # fmt: skip
"""Computed by hand from the formulae for eight H100, at design time; the model's size cancels."""


@pytest.mark.parametrize(
    ("bytes_", "case"), [(row[0], case) for row in LINK_LAW for case in row[1:]]
)
def test_utilisation_is_that_of_the_link_law(bytes_, case):
    tokens, link_bits, *wanted = case
    parameters = 7 * 10**9
    half = bytes_ * parameters / 2
    training = train_s(parameters=parameters, tokens=tokens, flops=FLOPS)
    setting = Setting(32, training, half, half, link_bits)
    for overlap, text in zip((0, 1), wanted, strict=True):
        percent = 100 * setting.utilisation(overlap=overlap)
        assert f"{percent:.{len(text.partition('.')[2])}f}" == text


settings_of_members_alike = st.builds(
    Setting,
    members=st.integers(1, 12),
    train_s=st.floats(0.5, 5000),
    up_bytes=st.floats(0, 1e10),
    down_bytes=st.floats(0, 1e10),
    link_bits=st.floats(1e6, 1e10),
    hub_bits=st.one_of(st.just(math.inf), st.floats(1e6, 1e11)),
    latency_s=st.floats(0, 1),
    screen_s=st.floats(0, 20),
    merge_s=st.floats(0, 100),
)


@settings(max_examples=60)
@given(settings_of_members_alike, st.sampled_from((0, 0.1, 0.5, 0.9, 1)))
def test_where_members_are_alike_the_simulator_finds_the_closed_form(setting, overlap):
    found = period_s(setting, overlap=overlap)
    assert found == pytest.approx(setting.round_s(overlap=overlap), rel=1e-6)


@settings(max_examples=40)
@given(settings_of_members_alike, st.lists(st.floats(0.5, 5000), min_size=1, max_size=8))
def test_where_all_must_answer_the_slowest_member_sets_the_pace(setting, seconds):
    setting = replace(setting, members=len(seconds), hub_bits=math.inf, screen_s=0.0)
    who = members(*seconds, link_bits=setting.link_bits)
    found = period_s(setting, overlap=0, who=who)
    slowest = replace(setting, train_s=max(seconds)).round_s(overlap=0)
    assert found == pytest.approx(slowest, rel=1e-6)

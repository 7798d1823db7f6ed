"""Restarts: soon, then ever later, and never two trees at once."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import SiteRefused, SiteUnreachable
from concord.federation.sites.supervisor import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    STEADY_S,
    Course,
    Supervisor,
)


class Script:
    """A process that dies when it is told to, and time that passes when somebody sleeps."""

    def __init__(self, dies_after_s):
        self.now_s = 0.0
        self.dies_after_s = dies_after_s
        self.starts = []
        self.stops = 0
        self.running_since = None

    def start(self):
        assert not self.alive(), "two trees at once"
        self.starts.append(self.now_s)
        self.running_since = self.now_s

    def alive(self):
        since = self.running_since
        return since is not None and self.now_s - since < self.dies_after_s

    def stop(self):
        self.stops += 1
        self.running_since = None

    def sleep(self, seconds):
        self.now_s += seconds


def supervise(script, until_s, **more):
    told = []
    supervisor = Supervisor(
        script,
        tell=told.append,
        ended=lambda: script.now_s >= until_s,
        now_s=lambda: script.now_s,
        sleep=script.sleep,
        **more,
    )
    supervisor.run()
    return told


def test_what_dies_at_once_is_started_again_ever_later():
    script = Script(dies_after_s=1)
    supervise(script, until_s=2_000)
    gaps = [b - a for a, b in pairwise(script.starts)]
    assert gaps[0] <= FIRST_PAUSE_S + 3
    assert gaps == sorted(gaps)
    assert gaps[-1] <= LONGEST_PAUSE_S + 3
    assert len(script.starts) < 16
    assert script.running_since is None


def test_what_ran_long_is_started_again_soon():
    script = Script(dies_after_s=STEADY_S + 10)
    supervise(script, until_s=4 * STEADY_S)
    gaps = [b - a for a, b in pairwise(script.starts)]
    assert all(gap <= STEADY_S + 10 + FIRST_PAUSE_S + 3 for gap in gaps)


def test_an_interrupt_leaves_nothing_running():
    script = Script(dies_after_s=10**9)
    script.sleep = lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        supervise(script, until_s=5)
    assert script.running_since is None


def test_a_site_file_that_was_loosened_meanwhile_ends_it():
    script = Script(dies_after_s=1)
    begin = script.start

    def start():
        if script.starts:
            raise SiteRefused("is laxer", where="resources.json")
        begin()

    script.start = start
    with pytest.raises(SiteRefused):
        supervise(script, until_s=100)
    assert script.running_since is None


def test_each_hindrance_is_told_once_and_then_admission():
    script = Script(dies_after_s=10**9)
    reasons = ["nobody listens", "nobody listens", "your certificate has expired"]

    def check():
        if reasons:
            raise SiteUnreachable(reasons.pop(0), where="host:8002")

    told = supervise(script, until_s=200, check=check, admitted=lambda: script.now_s > 150)
    assert [line.split(";")[0] for line in told] == [
        "started",
        "host:8002: nobody listens",
        "host:8002: your certificate has expired",
        "the coordinator's server answers",
        "the coordinator let this site in",
    ]


@given(st.lists(st.tuples(st.floats(0, 2_000), st.floats(0, 10)), max_size=40))
def test_the_pause_is_never_under_the_first_nor_over_the_longest(times):
    course, now_s = Course(), 0.0
    for ran_s, idle_s in times:
        course = course.started(now_s)
        now_s += ran_s
        course = course.ended(now_s)
        assert FIRST_PAUSE_S <= course.pause_s <= LONGEST_PAUSE_S
        assert not course.may_start(now_s)
        assert course.may_start(now_s + course.pause_s + 1e-6)
        now_s += course.pause_s + 1e-6 + idle_s


def test_what_somebody_else_started_is_started_again_after_the_first_pause():
    script = Script(dies_after_s=5)
    script.start()
    supervise(script, until_s=9)
    assert script.starts == [0.0, 5 + FIRST_PAUSE_S]
    assert script.stops == 2  # what it left behind, and the end


def test_a_pause_stays_the_longest_after_days_of_ends_in_a_row():
    course = Course()
    for _ in range(2_000):
        course = course.started(0.0).ended(1.0)
    assert course.pause_s == LONGEST_PAUSE_S

"""Settings and rules for tests of planning."""

import math
from fractions import Fraction

from concord.federation.planning.law import Setting
from concord.federation.planning.simulator import SimulatedMember, Simulator, alike
from concord.federation.rounds import ClosingRule


def rule(quorum="1", grace_share=0.5, min_grace_s=0.0):
    return ClosingRule(Fraction(quorum), grace_share, min_grace_s, math.inf)


def members(*train_s, link_bits=1e8):
    return [SimulatedMember(seconds, link_bits) for seconds in train_s]


def instant(count):
    """Nothing takes time but training."""
    return Setting(count, 0.0, 0, 0, 1e8)


def period_s(setting, *, overlap, who=None, closing=None, rounds=8):
    """Time of one round, after the first ones."""
    who = who if who is not None else alike(setting)
    found = Simulator(setting, who, closing or rule(), overlap=overlap).run(rounds)
    half = rounds // 2
    return (found[-1].committed_s - found[half - 1].committed_s) / (rounds - half)

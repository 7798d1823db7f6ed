"""A run on machines: time of a round by link and codec, which codec, and what breaks first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from concord.federation.planning.law import Setting, train_s
from concord.federation.planning.needs import Needs
from concord.federation.planning.simulator import SimulatedMember, Simulator
from concord.federation.rounds import ClosingRule

WANTED_UTILISATION = 0.9
"""Share of the time in which members train, from which on a codec is good enough."""
SIMULATED_ROUNDS = 8
DAY_S = 86_400


@dataclass(frozen=True)
class Machines:
    """What there is."""

    flops: float
    """Of one member, effective operations per second."""
    hub_bits: float = math.inf
    """The coordinator's link in each direction, bits per second."""
    latency_s: float = 0.0
    """One way."""
    memory: float = 256e9
    """The coordinator's, bytes (assumption)."""
    devices: float = 640e9
    """Memory of all of a member's devices, bytes (assumption: eight of 80 GB)."""
    disk: float = 100e12
    """The coordinator's, bytes (assumption)."""
    days: float = 365.0
    """How long the run may take (assumption)."""


@dataclass(frozen=True)
class Work:
    """What is to be trained."""

    round_tokens: float
    """Of one member in one round."""
    tokens: float
    """Of all members in the whole run."""
    overlap: float = 0.0
    """Share of a round that is trained while the one before is on its way."""

    def rounds(self, members: int) -> int:
        return max(1, math.ceil(self.tokens / (members * self.round_tokens)))


@dataclass(frozen=True)
class Limit:
    """How much of something a run needs, as a share of what there is."""

    name: str
    used: float


@dataclass(frozen=True)
class Row:
    """One codec over one link."""

    codec: str
    link_bits: float
    setting: Setting
    overlap: float
    rounds: int
    limits: tuple[Limit, ...]
    """The one that is met first comes first."""

    @property
    def round_s(self) -> float:
        return self.setting.round_s(overlap=self.overlap)

    @property
    def utilisation(self) -> float:
        return self.setting.utilisation(overlap=self.overlap)

    @property
    def days(self) -> float:
        return self.rounds * self.round_s / DAY_S


def row(needs: Needs, link_bits: float, machines: Machines, work: Work) -> Row:
    """Reckon one codec, which is that of the run, over one link.

    Where a model is sent in parts, a round has their mean size.
    """
    members = len(needs.run.roster)
    setting = Setting(
        members=members,
        train_s=train_s(
            parameters=needs.parameters, tokens=work.round_tokens, flops=machines.flops
        ),
        up_bytes=needs.mean_up_bytes,
        down_bytes=needs.mean_down_bytes,
        link_bits=link_bits,
        hub_bits=machines.hub_bits,
        latency_s=machines.latency_s,
        screen_s=needs.screen_s,
        merge_s=needs.merge_s,
    )
    rounds = work.rounds(members)
    return Row(
        codec=needs.run.update.codec,
        link_bits=link_bits,
        setting=setting,
        overlap=work.overlap,
        rounds=rounds,
        limits=limits(needs, setting, machines, work),
    )


def limits(needs: Needs, setting: Setting, machines: Machines, work: Work) -> tuple[Limit, ...]:
    """Everything that can stop a run, the worst first; above 1 it does.

    link    moving up and down takes as long as training
    core    the coordinator's screening and merging takes as long as training
    """
    rounds = work.rounds(setting.members)
    moves_s = setting.move_s(setting.up_bytes) + setting.move_s(setting.down_bytes)
    days = rounds * setting.round_s(overlap=work.overlap) / DAY_S
    found = [
        Limit("memory", needs.coordinator_memory / machines.memory),
        Limit("devices", needs.member_memory / machines.devices),
        Limit("disk", needs.coordinator_disk(rounds) / machines.disk),
        Limit("link", moves_s / setting.train_s),
        Limit("core", (setting.exchange_s - moves_s) / setting.train_s),
        Limit("time", days / machines.days),
    ]
    return tuple(sorted(found, key=lambda limit: (-limit.used, limit.name)))


def choose(rows: Sequence[Row]) -> Row:
    """The first codec, of those from most exact to most coarse, that lets members train enough;
    if none does, the one that lets them train most."""
    good = (one for one in rows if one.utilisation >= WANTED_UTILISATION)
    return next(good, max(rows, key=lambda one: one.utilisation))


def simulated_s(row: Row, *, spread: float, rule: ClosingRule) -> float:
    """Mean time of a round where members' speeds differ, event by event.

    Args:
        row: The round.
        spread: Speeds lie evenly between 1 - spread and 1 + spread times the usual one.
        rule: When rounds close.
    """
    setting = row.setting
    speeds = _even(setting.members, spread)
    members = [SimulatedMember(setting.train_s / speed, setting.link_bits) for speed in speeds]
    trace = Simulator(setting, members, rule, overlap=row.overlap).run(SIMULATED_ROUNDS)
    half = SIMULATED_ROUNDS // 2
    return (trace[-1].committed_s - trace[half - 1].committed_s) / (SIMULATED_ROUNDS - half)


def _even(count: int, spread: float) -> list[float]:
    return [1 + spread * (2 * (number + 0.5) / count - 1) for number in range(count)]


def patient(rule: ClosingRule) -> ClosingRule:
    """The same rule without an end to its patience, for rounds that take days."""
    return replace(rule, stall_s=math.inf)


def rule_of(needs: Needs) -> ClosingRule:
    """When rounds of a run close."""
    return patient(ClosingRule.of(needs.run.rounds))

"""One round as a pure state machine: what is known so far, and whether to wait, close or abandon.

    called ──► answers arrive ──► quorum ──► grace ──► CLOSE
                     │                          │
                     └── quorum out of reach ───┴── or stalled ──► ABANDON

No clock and no socket in here: events carry the time. A round is abandoned without a trace in
the weights; the counter of rounds moves only when a closed round is committed.

Source: adaptive grace after training.md 2.7 (Decoupled DiLoCo, arXiv 2604.21428), with the slack
taken as a share of the time the round has needed so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction

from concord.charter.run_sections import RoundsSpec


class Standing(StrEnum):
    """Where one member stands in the open round."""

    CALLED = "called"
    TRAINING = "training"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    REFUSED = "refused"
    LOST = "lost"
    LATE = "late"
    QUARANTINED = "quarantined"


OPEN = frozenset({Standing.CALLED, Standing.TRAINING})


@dataclass(frozen=True)
class MemberRound:
    """One member in one round."""

    standing: Standing = Standing.CALLED
    reason: str = ""


@dataclass(frozen=True)
class RoundState:
    """All that is known of the open round."""

    round: int
    called_s: float
    members: dict[str, MemberRound]
    accepted_s: tuple[float, ...] = field(default=())
    """Time of each accepted update, in order of arrival."""

    def with_standing(self, standing: Standing) -> tuple[str, ...]:
        """Ids of the members in a standing, sorted."""
        return tuple(sorted(m for m, state in self.members.items() if state.standing is standing))

    @property
    def accepted(self) -> tuple[str, ...]:
        return self.with_standing(Standing.ACCEPTED)

    @property
    def open(self) -> tuple[str, ...]:
        """Members whose update may still come."""
        return tuple(sorted(m for m, state in self.members.items() if state.standing in OPEN))

    @property
    def left_out(self) -> dict[str, str]:
        """Members without an accepted update, each with the reason in words."""
        return {
            member: f"{state.standing}: {state.reason}" if state.reason else str(state.standing)
            for member, state in sorted(self.members.items())
            if state.standing is not Standing.ACCEPTED
        }


def no_fault(_: Collection[str]) -> str:
    """Any members' updates may be taken together."""
    return ""


@dataclass(frozen=True)
class ClosingRule:
    """When a round may close, from the run document."""

    quorum: Fraction
    grace_share: float
    min_grace_s: float
    stall_s: float
    fault: Callable[[Collection[str]], str] = no_fault
    """Why the updates of these members cannot be merged (a cap per owner that too few owners are
    left to hold); empty if they can."""

    @classmethod
    def of(
        cls, spec: RoundsSpec, fault: Callable[[Collection[str]], str] = no_fault
    ) -> ClosingRule:
        """The rule that a run document states."""
        return cls(spec.quorum, spec.grace_share, spec.min_grace_s, spec.stall_s, fault)

    def needed(self, members: int) -> int:
        """Accepted updates that make a quorum of `members`: ⌈quorum · members⌉, at least one."""
        return max(1, math.ceil(self.quorum * members))


class Action(StrEnum):
    """What to do with the open round."""

    WAIT = "wait"
    CLOSE = "close"
    ABANDON = "abandon"


@dataclass(frozen=True)
class Decision:
    """An action, why, and when to ask again if nothing happens before."""

    action: Action
    reason: str
    ask_again_s: float = math.inf


def call_round(round_: int, members: tuple[str, ...], *, now_s: float) -> RoundState:
    """Open a round for its roster."""
    return RoundState(round_, now_s, {member: MemberRound() for member in members})


def record_standing(
    state: RoundState, member: str, standing: Standing, *, now_s: float, reason: str = ""
) -> RoundState:
    """Take note of one member's answer. What is final for a member stays: only open ones change."""
    current = state.members.get(member)
    if current is None or current.standing not in OPEN:
        return state
    members = {**state.members, member: MemberRound(standing, reason)}
    accepted_s = state.accepted_s
    if standing is Standing.ACCEPTED:
        accepted_s = (*accepted_s, now_s)
    return replace(state, members=members, accepted_s=accepted_s)


def come_back(state: RoundState, member: str) -> RoundState:
    """A member that was lost is there again, and its answer counts."""
    if member not in state.with_standing(Standing.LOST):
        return state
    members = {**state.members, member: MemberRound(Standing.TRAINING)}
    return replace(state, members=members)


def close_round(state: RoundState) -> RoundState:
    """Mark those who did not answer in time as late."""
    members = {
        member: MemberRound(Standing.LATE, "no update before the round closed")
        if member_round.standing in OPEN
        else member_round
        for member, member_round in state.members.items()
    }
    return replace(state, members=members)


def quarantine(state: RoundState, reasons: Mapping[str, str]) -> RoundState:
    """Leave accepted updates of a closed round out, each for a reason."""
    out = {m: MemberRound(Standing.QUARANTINED, reason) for m, reason in reasons.items()}
    return replace(state, members={**state.members, **out})


def decide(state: RoundState, rule: ClosingRule, *, now_s: float) -> Decision:
    """Wait, close or abandon: a function of what is known and of nothing else.

    1. Everyone answered: close with a quorum, else abandon.
    2. Quorum reached: close once the grace after the quorum's last update is over.
    3. Quorum out of reach: abandon.
    4. Nothing decisive for `stall_s`: abandon.

    A quorum whose updates cannot be merged is none: others may still come and mend that.
    """
    accepted, still_open = len(state.accepted), len(state.open)
    needed = rule.needed(len(state.members))
    count = f"{accepted} of {len(state.members)} updates, quorum {needed}"
    fault = rule.fault(state.accepted) if accepted >= needed else ""
    if fault:
        count = f"{count}; {fault}"
    if accepted >= needed and not fault:
        if not still_open:
            return Decision(Action.CLOSE, f"everyone answered ({count})")
        quorum_s = state.accepted_s[needed - 1]
        grace_s = max(rule.min_grace_s, rule.grace_share * (quorum_s - state.called_s))
        closes_s = quorum_s + grace_s
        if now_s >= closes_s:
            return Decision(Action.CLOSE, f"grace of {grace_s:.1f} s is over ({count})")
        return Decision(Action.WAIT, f"quorum reached, grace runs ({count})", closes_s)
    if accepted + still_open < needed or (fault and not still_open):
        why = "what came cannot be merged" if fault else "a quorum is out of reach"
        return Decision(Action.ABANDON, f"{why} ({count})")
    stalls_s = state.called_s + rule.stall_s
    if now_s >= stalls_s:
        return Decision(Action.ABANDON, f"no quorum within {rule.stall_s:.0f} s ({count})")
    return Decision(Action.WAIT, f"waiting for updates ({count})", stalls_s)

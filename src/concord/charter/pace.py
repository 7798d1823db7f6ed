"""How many inner steps each member takes in a round, where members are of unequal speed.

    T   = H * (step time of the quorum-th fastest member)      a round cannot close before that
    n_m = min(H, max(1, floor(T / step time of m)))

A round waits for a quorum anyway, so members up to the quorum-th fastest take all H steps and the
others as many as they get done meanwhile: all finish together. Whoever says it is faster than it is
moves T only if it is one of a quorum; whoever says it is slower counts for less (the merge weight
is in proportion to n_m).

Step times are what members declared with their last merged updates, in whole microseconds, so that
everybody computes the same numbers. A member that took part and sent nothing in time counts as
twice as slow as it was; of one that was never measured nothing is known, and it takes all H steps.

Pure: run document and step times in, steps out. Coordinator, members and verifiers call it.

Source: dynamic local updates, Liu et al. 2024 (arXiv 2401.09135), with the quorum-th fastest member
instead of the fastest (our choice: one wrong step time must not shorten everybody's round).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from concord.charter.run import RunDocument
from concord.charter.schedule import inner_steps

SLOWEST_US = 10**12
"""Eleven days a step: no member is slower."""


def quorum_of(run: RunDocument, members: int) -> int:
    """Updates that a round of so many members needs: the quorum's share, rounded up."""
    share = run.rounds.quorum
    return max(1, -(-share.numerator * members // share.denominator))


def step_time_us(train_s: float, steps: int) -> int:
    """Declared time of one inner step, in whole microseconds, at least one."""
    return min(SLOWEST_US, max(1, round(min(train_s, 1e9) * 1e6 / max(steps, 1))))


def paced_steps(
    run: RunDocument, round_: int, roster: Collection[str], times_us: Mapping[str, int]
) -> dict[str, int]:
    """Inner steps of each member of a round's roster; empty where all take the same number.

    Args:
        round_: 0-based.
        times_us: Step time of each member that is known, as `next_times` left them.
    """
    if run.rounds.pace == "equal":
        return {}
    most = inner_steps(run.rounds, round_)
    known = sorted(times_us[member] for member in roster if member in times_us)
    needed = quorum_of(run, len(roster))
    if len(known) < needed:
        return dict.fromkeys(sorted(roster), most)
    round_us = most * known[needed - 1]
    return {
        member: min(most, max(1, round_us // times_us[member])) if member in times_us else most
        for member in sorted(roster)
    }


def next_times(
    run: RunDocument,
    times_us: Mapping[str, int],
    *,
    merged: Mapping[str, tuple[float, int]],
    missed: Collection[str],
) -> dict[str, int]:
    """Step times after a committed round; empty where nobody needs them.

    Args:
        times_us: Step times before.
        merged: Declared seconds and steps of each update that went in.
        missed: Members that granted the round and sent no update before it closed.
    """
    if run.rounds.pace == "equal":
        return {}
    times = dict(times_us)
    times |= {member: step_time_us(*declared) for member, declared in merged.items()}
    slowest = max((times[member] for member in merged), default=1)
    for member in missed:
        times[member] = min(SLOWEST_US, 2 * times_us.get(member, slowest))
    return dict(sorted(times.items()))

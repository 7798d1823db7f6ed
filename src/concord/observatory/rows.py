"""The order and grouping in which parts of a report are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from concord.federation.report.parts import ALONE, POOLED, SHARED, SOVEREIGN, Arm, ReportRound
from concord.observatory import words


@dataclass(frozen=True)
class LeftOut:
    """One member left out of several rounds for one reason."""

    member: str
    reason: str
    rounds: tuple[int, ...]

    @property
    def count(self) -> int:
        return len(self.rounds)


def model_order(models: Iterable[str]) -> list[str]:
    """Shared, pooled, further arms, then alone and sovereign by member."""

    def place(model: str) -> tuple[int, str]:
        kind = model.partition("/")[0]
        rank = {SHARED: 0, POOLED: 1, ALONE: 3, SOVEREIGN: 4}
        return (rank.get(kind, 2), model)

    return sorted(models, key=place)


def left_out_summary(rounds: Sequence[ReportRound]) -> list[LeftOut]:
    """Who was left out, why, and in which rounds; most rounds first."""
    found: dict[tuple[str, str], list[int]] = {}
    for part in rounds:
        for member, reason in part.left_out.items():
            found.setdefault((member, reason), []).append(part.round)
    groups = [LeftOut(member, reason, tuple(at)) for (member, reason), at in found.items()]
    return sorted(groups, key=lambda group: (-group.count, group.member, group.reason))


def spans(rounds: Sequence[int]) -> str:
    """Round numbers as ranges: 1, 4 to 6, 9."""
    parts: list[list[int]] = []
    for number in sorted(rounds):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in parts)


def tokens_by_arm(arms: Mapping[str, Arm]) -> list[str]:
    """What each arm trained on, the alone arms together: `shared 9,164,800`."""
    lines = [f"{m} {arms[m].tokens:,}" for m in model_order(arms) if "/" not in m]
    for kind in (ALONE, SOVEREIGN):
        tokens = [arm.tokens for model, arm in arms.items() if model.startswith(f"{kind}/")]
        if tokens:
            least, most = min(tokens), max(tokens)
            each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
            lines.append(f"{kind} {sum(tokens):,} together ({len(tokens)} × {each})")
    return [words.inert(line) for line in lines]

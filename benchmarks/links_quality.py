"""What each option for slow links costs in quality, on a tiny setting: a smoke test, not a law.

    python benchmarks/links_quality.py

Eight members of the almanac as in `hostile`, all honest, few rounds, one seed. Mean of their losses
in bits per byte on their own held-out text. Differences of a few thousandths mean nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from hostile import MEMBERS, Laboratory

from concord.charter.run import parse_run
from concord.federation.frames import Frame
from concord.federation.merging import RunState
from concord.federation.simulation import Adversary, Sent, Simulation

ROUNDS, STEPS = 10, 8
OUTER = {"momentum": 0.5, "lr": 1.4, "embedding_lr": 2.8}
SLOW = MEMBERS[::2]
ROWS: dict[str, dict[str, Any]] = {
    "default": {},
    "2 of 8 steps ahead, blend 0": {"rounds": {"overlap_steps": 2}},
    "2 of 8 steps ahead, blend 0.15": {"rounds": {"overlap_steps": 2, "overlap_blend": 0.15}},
    "1 of 8 steps ahead, blend 0": {"rounds": {"overlap_steps": 1}},
    "half the members 4 times slower, by speed": {"rounds": {"pace": "by_speed"}},
    "momentum 0.5, all in time": {"update": {"outer": OUTER}},
    "momentum 0.5, two late in turn, refused": {"update": {"outer": OUTER}},
    "momentum 0.5, two late in turn, corrected": {"update": {"outer": OUTER, "late": "correct"}},
    "sparse both ways": {"update": {"codec": "sparse", "down_codec": "sparse"}},
}


@dataclass
class Late:
    """Two members are late in every other round; their updates come in the next one."""

    enters: bool
    held: list[Sent] = field(default_factory=list)

    def __call__(self, state: RunState, sent: Sequence[Sent]) -> Sequence[Sent]:
        for one in self.held if self.enters else ():
            state.accept_late(one.member, one.header, Frame(b"", one.path))
        turn = state.committed // 2 % len(MEMBERS)
        late = {MEMBERS[turn], MEMBERS[(turn + 3) % len(MEMBERS)]}
        if state.committed % 2:
            # Who was late still works on it, and has nothing for this round.
            late = {one.member for one in self.held}
            self.held = []
            return [one for one in sent if one.member not in late]
        self.held = [_kept(one) for one in sent if one.member in late]
        return [one for one in sent if one.member not in late]


def _kept(one: Sent) -> Sent:
    path = one.path.with_name("late")
    path.write_bytes(one.path.read_bytes())
    return Sent(one.member, one.header, path)


def measure(lab: Laboratory, name: str, changes: Mapping[str, Any], rounds: int) -> float:
    """Mean loss of the members after so many rounds."""
    value = lab.run(changes.get("update", {})).model_dump(mode="json")
    value["rounds"] |= {"count": rounds, "inner_steps": STEPS, **changes.get("rounds", {})}
    run = parse_run(value)
    adversary: Adversary | None = Late("corrected" in name) if "late" in name else None
    step_s = {m: 4.0 if m in SLOW else 1.0 for m in MEMBERS} if "slower" in name else None
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(run, lab.texts(run), Path(folder), step_s=step_s)
        for _ in range(rounds):
            simulation.train(adversary=adversary)
        return fmean(sums.bits_per_byte for sums in simulation.evaluate().values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--work", type=Path, default=Path("bench-work/hostile"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    lab = Laboratory(given.work, 0)
    print("| option | bits per byte | against the first |\n|---|--:|--:|")
    first = None
    for name, changes in ROWS.items():
        found = measure(lab, name, changes, given.rounds)
        first = found if first is None else first
        print(f"| {name} | {found:.3f} | {100 * (found / first - 1):+.2f} % |", flush=True)


if __name__ == "__main__":
    main()

"""Many members, tiny updates, the real protocol: what a round costs, and how that grows.

    python benchmarks/load.py [--members 8 16 32 64] [--rounds 6] [--profile]

Each member is a process that checks every entry of the log, cosigns, grants, sends a signed update
of 400 numbers and applies the step; nothing is trained. Rounds close when all have answered. The
first round of a start is not counted. Processor time is that of the coordinator's process alone;
the clock's is with all members on the same machine.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import socket
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

from memory import resident_mb

from concord.charter.run import RunDocument, parse_run
from concord.federation.coordinator import Coordinator
from concord.federation.watcher import Watcher
from concord.ledger.round_record import RoundRecord
from concord.testing import scripted_member
from concord.testing.founded import found
from concord.testing.scripted_member import ScriptedMember, serve
from concord.testing.scripted_run import coordinating, scripted_engine


def member_main(stream: socket.socket, folder: Path) -> None:
    """A member's process."""
    scripted_member.PACE_S = 0.0
    serve(ScriptedMember(stream, folder))


@dataclass
class Meter(Watcher):
    """Takes note of the coordinator's time at every committed round."""

    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    down: list[int] = field(default_factory=list)
    up: list[int] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def committed(self, record: RoundRecord) -> None:
        self.cpu_s.append(time.process_time())
        self.wall_s.append(time.monotonic())
        self.down.append(sum(record.bytes_down.values()))
        self.up.append(sum(record.bytes_up.values()))
        self.memory_mb.append(resident_mb())


def document(members: tuple[str, ...], rounds: int) -> RunDocument:
    return parse_run(
        {
            "name": "load",
            "roster": [{"id": member} for member in members],
            "rounds": {"count": rounds, "inner_steps": 2, "min_grace_s": 600.0, "quorum": "1"},
            "evaluation": {"every_rounds": 0},
            "inner": {"state": {"mode": "local"}, "batch_tokens": 128, "warmup_steps": 0,
                      "decay_share": 0, "lr": 0.01, "matrix_lr": 0.01},
            "update": {"codec": "int4"},
        }
    )  # fmt: skip


def one(members: int, rounds: int, profile: cProfile.Profile | None = None) -> Meter:
    """A run of so many members; what was noted after each round."""
    names = tuple(f"m{number:03}" for number in range(members))
    meter = Meter()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        found(root, names)
        run = document(names, rounds)
        engine = scripted_engine(root, run, main=member_main, max_payload_bytes=1 << 24)
        options = {"watcher": meter, "witness_patience_s": 600.0}
        with coordinating(root, run, engine, Coordinator, **options) as coordinator:
            if profile is None:
                coordinator.run()
            else:
                profile.runcall(coordinator.run)
    return meter


def per_round(values: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(values)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--profile", action="store_true", help="where the time goes; slower")
    options = parser.parse_args()
    print("| members | round, s | coordinator's CPU, ms | per member, ms | down per member, kB"
          " | up per member, kB | memory, MB |")  # fmt: skip
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for members in options.members:
        profile = cProfile.Profile(time.thread_time) if options.profile else None
        meter = one(members, options.rounds, profile)
        cpu_s, wall_s = median(per_round(meter.cpu_s)), median(per_round(meter.wall_s))
        print(
            f"| {members} | {wall_s:.2f} | {1000 * cpu_s:.0f} | {1000 * cpu_s / members:.2f}"
            f" | {median(meter.down[1:]) / members / 1000:.1f}"
            f" | {median(meter.up[1:]) / members / 1000:.1f} | {meter.memory_mb[-1]:.0f} |",
            flush=True,
        )
        if profile is not None:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

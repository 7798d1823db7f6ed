"""Seconds of a round, sealed beside open: eight processes, 25 M values, 50 MB updates, no training.

    make bench-sealed-time

Open updates are bf16 and sealed ones `ring16`, so both are 50 MB of the same 25 M values. Members
make their numbers at once instead of training: what is left is encoding or masking, moving,
screening or opening, merging, the log, and taking the step. Open and sealed federations take
turns, a run of some rounds each; the first round of each start is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from concord.base.digest import Digest
from concord.base.files import write_atomic
from concord.base.tensors import FloatArray, TensorSpec, write_tensors
from concord.charter.run import RunDocument, parse_run
from concord.federation.coordinator import Coordinator
from concord.federation.records import RunFolder
from concord.federation.sealed.coordinator import SealedCoordinator
from concord.federation.work import Train
from concord.testing import scripted_member
from concord.testing.founded import found
from concord.testing.scripted_member import ScriptedMember, serve
from concord.testing.scripted_run import coordinating, scripted_engine

MEMBERS = tuple(f"m{number}" for number in range(8))
SPECS = [TensorSpec(f"layer{number}.weight", (2500, 1000)) for number in range(10)]
CODECS = {"open": "bf16", "sealed": "ring16"}


class QuickMember(ScriptedMember):
    """Makes 25 M numbers at once."""

    def _first_base(self) -> tuple[Path, Digest]:
        path = self._folder / "first.tensors"
        return path, write_tensors(path, SPECS, (np.ones(s.shape, np.float32) for s in SPECS))

    def _difference(self, spec: TensorSpec, plan: Train) -> FloatArray:
        draw = np.random.default_rng([plan.round, *self._id.encode()])
        part = draw.standard_normal(spec.size // 50, np.float32)
        return np.tile(part, 50).reshape(spec.shape) * np.float32(0.01)


def member_main(stream: socket.socket, folder: Path) -> None:
    """A member's process."""
    scripted_member.PACE_S = 0.0
    scripted_member.MAX_PAYLOAD_BYTES = 1 << 30
    serve(QuickMember(stream, folder))


def document(mode: str, number: int, rounds: int) -> RunDocument:
    value: dict[str, Any] = {
        "name": f"{mode}{number}",
        "roster": [{"id": member} for member in MEMBERS],
        "rounds": {"count": rounds, "inner_steps": 2, "min_grace_s": 600.0, "quorum": "1"},
        "evaluation": {"every_rounds": 0},
        "inner": {"state": {"mode": "local"}, "batch_tokens": 128, "warmup_steps": 0,
                  "decay_share": 0, "lr": 0.01, "matrix_lr": 0.01},
        "update": {"codec": CODECS[mode]},
    }  # fmt: skip
    return parse_run({**value, "seal": {}} if mode == "sealed" else value)


def seconds(root: Path, run: RunDocument) -> list[float]:
    """Seconds of each round but the first."""
    engine = scripted_engine(root, run, main=member_main, max_payload_bytes=1 << 30)
    kind = Coordinator if run.mode == "open" else SealedCoordinator
    with coordinating(root, run, engine, kind) as coordinator:
        coordinator.run()
    return [record.seconds for _, record in RunFolder(root, run.name).records()[2:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/sealed-run.json"))
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    taken: dict[str, list[float]] = {"open": [], "sealed": []}
    for turn in range(arguments.turns):
        for mode in taken:
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder)
                found(root, MEMBERS, modes='["open", "sealed"]')
                taken[mode] += seconds(root, document(mode, turn, arguments.rounds))
            load = os.getloadavg()[0]
            print(mode, [round(s, 2) for s in taken[mode]], f"load {load:.1f}", flush=True)
    kept = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else {}
    kept["time"] = {**taken, "load": os.getloadavg()[0]}
    write_atomic(arguments.out, json.dumps(kept, indent=1).encode() + b"\n")
    print(f"sealed / open: {median(taken['sealed']) / median(taken['open']):.2f}")


if __name__ == "__main__":
    main()

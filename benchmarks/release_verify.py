"""`concord release verify` on a release of a given size, step by step.

    python benchmarks/release_verify.py [--megabytes 1000] [--times 3]

The weights are one tensor of zeros beside those of a small history, so that hashing is what costs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from concord.base.clock import SystemClock
from concord.base.tensors import TensorSpec
from concord.release.folder import ReleaseFolder
from concord.release.verify import verify_release
from concord.testing.history import SPECS, History

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "release"))
from releaselab import VERSION, build, decide, publish


def made(root: Path, megabytes: int) -> ReleaseFolder:
    """A published release whose weights have so many megabytes."""
    rows = megabytes * 10**6 // 4 // 1024
    history = History(root, specs=[*SPECS, TensorSpec("padding.weight", (rows, 1024))])
    run = history.adopt(rounds={"count": 1})
    run.round_of("chad", "fiji")
    decide(history, run)
    release, manifest = build(history, run)
    publish(history, release, manifest)
    return ReleaseFolder(root / "releases" / VERSION)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--times", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        release = made(Path(root), chosen.megabytes)
        for _ in range(chosen.times):
            began_s, busy_s = time.perf_counter(), time.process_time()
            found = verify_release(release.root, clock=SystemClock())
            wall_s, busy_s = time.perf_counter() - began_s, time.process_time() - busy_s
            steps = "  ".join(f"{step.name} {step.seconds:.2f}" for step in found.steps)
            print(f"{wall_s:.2f} s, {busy_s:.2f} s of processor time:  {steps}")


if __name__ == "__main__":
    main()

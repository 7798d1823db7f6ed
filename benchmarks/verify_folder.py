"""`concord verify` on a whole federation, step by step, in processor time of one core.

    python benchmarks/verify_folder.py [FOLDER] [--members 6] [--rounds 90] [--times 3]

Without a folder, a history of small updates is said first: it shows what statements cost. On a real
folder, such as the demo's, the bases are what costs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from concord.base.clock import SystemClock
from concord.ledger.verify import Verification
from concord.ledger.verify_terms import Silent, Step
from concord.testing.history import History


class Stopwatch(Silent):
    """Processor seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def begins(self, number: int, title: str, total: int) -> None:  # noqa: ARG002
        self._began_s = time.process_time()

    def ended(self, step: Step) -> None:
        self.seconds[step.name] = time.process_time() - self._began_s


def measured(folder: Path) -> None:
    """Verify once, and print what each step took."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as workdir:
        found = Verification(folder, workdir=Path(workdir), clock=SystemClock(), watcher=watch)
        found.run()
    entries = found.reader.size
    per_second = entries / watch.seconds["statements"]
    steps = "  ".join(f"{name} {seconds:.2f}" for name, seconds in watch.seconds.items())
    print(f"{steps}  sum {sum(watch.seconds.values()):.2f} s")
    print(f"{entries:,} entries, {per_second:,.0f} entries/s folded, {found.work:,} parameters")
    if found.work:
        print(f"{found.work / watch.seconds['bases']:.3g} parameters × members/s computed again")


def said(root: Path, members: int, rounds: int) -> Path:
    """A history of so many members and rounds, measured by all in every fifth."""
    history = History(root, [f"m{number:02}" for number in range(members)])
    run = history.adopt(rounds={"count": rounds})
    for number in range(rounds):
        run.round_of(measured=number % 5 == 4)
    run.close()
    return history.publish()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--members", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=90)
    parser.add_argument("--times", type=int, default=3)
    choices = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        place = choices.folder or said(Path(made) / "atlas", choices.members, choices.rounds)
        for _ in range(choices.times):
            measured(place)

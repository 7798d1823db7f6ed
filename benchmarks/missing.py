"""Members missing at random in every round, or one for long: what the shared model loses.

    python benchmarks/missing.py --corpora <folder> [--steps 300] [--seeds 0 1] [--share 0.3]
    python benchmarks/missing.py --corpora <folder> --away kerala

Text, sizes and simulation are those of `benchmarks/ablation.py`; rates are the run document's
defaults. In every round each member's update is lost with a chance of `--share`; where fewer than
the quorum are left the round is called again, as in a run, so the draw is repeated. The members'
own state follows the rounds that they were in. Rounds are as many in both arms.

With `--away` there is one run of 50 short rounds instead, in which one member misses 30 in a row;
it says of every later round whether the member was let in, and how long its update was beside the
longest of the others.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch
from ablation import Laboratory, parsed_arguments
from ablation_variants import REFERENCE

from concord.charter.run import RunDocument
from concord.federation.merging import RunState
from concord.federation.simulation import Sent, Simulation

DEFAULTS = {
    "inner.lr": 2.5e-3,
    "inner.matrix_lr": 2.5e-3,
    "inner.beta2": 0.99,
    "update.outer.lr": None,
    "update.outer.embedding_lr": None,
    "comparison.pooled_lr": None,
    "comparison.pooled_matrix_lr": None,
}
assert DEFAULTS.keys() == REFERENCE.keys()


class Absences:
    """Draws who is missing, the same for a seed."""

    def __init__(self, run: RunDocument, share: float, seed: int) -> None:
        self._draw = random.Random(seed)
        self._share = share
        self._needed = -(-len(run.roster) * run.rounds.quorum // 1)
        self.missed = 0

    def __call__(self, state: RunState, sent: Sequence[Sent]) -> Sequence[Sent]:  # noqa: ARG002
        while True:
            kept = [one for one in sent if self._draw.random() >= self._share]
            if len(kept) >= self._needed:
                self.missed += len(sent) - len(kept)
                return kept


SHORT_ROUNDS = {"rounds.inner_steps": 5, "rounds.count": 50}
AWAY = range(5, 35)


def long_absence(lab: Laboratory, member: str, work: Path) -> None:
    """Print how a member fares that comes back after the rounds of `AWAY`."""
    run = lab.run({**DEFAULTS, **SHORT_ROUNDS})
    with tempfile.TemporaryDirectory(dir=work) as folder:
        simulation = Simulation(run, lab.texts("own", run), Path(folder))
        for round_ in range(run.rounds.count):
            away = member if round_ in AWAY else None
            record = simulation.train(
                adversary=lambda _, sent, away=away: [s for s in sent if s.member != away]
            )
            if round_ >= AWAY.stop:
                norms = {m: one.norm for m, one in record.contributions.items()}
                own = norms.pop(member, None)
                said = record.left_out.get(member) or f"{own:.3f}"
                print(
                    f"round {round_}: {member} {said}; the others at most {max(norms.values()):.3f}"
                )
        found = {m: round(one.bits_per_byte, 4) for m, one in simulation.evaluate().items()}
        print(json.dumps(found))


def main() -> None:
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    own.add_argument("--share", type=float, default=0.3)
    own.add_argument("--away", metavar="MEMBER", help="one long absence instead")
    options, rest = own.parse_known_args()
    torch.set_num_threads(1)
    arguments = parsed_arguments(rest)
    if options.away:
        long_absence(Laboratory(arguments), options.away, arguments.work)
        return
    rows = []
    for seed in options.seeds:
        arguments.seed = seed
        lab = Laboratory(arguments)
        run = lab.run(DEFAULTS)
        for share in (0.0, options.share):
            began_s = time.process_time()
            with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
                simulation = Simulation(run, lab.texts("own", run), Path(folder))
                absences = Absences(run, share, seed)
                for _ in range(run.rounds.count):
                    simulation.train(adversary=absences)
                found = {m: one.bits_per_byte for m, one in simulation.evaluate().items()}
            rows.append(
                {
                    "seed": seed,
                    "share": share,
                    "missed": absences.missed,
                    "of": run.rounds.count * len(run.roster),
                    "bits_per_byte": fmean(found.values()),
                    "members": found,
                    "cpu_s": round(time.process_time() - began_s),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    for none, some in zip(rows[::2], rows[1::2], strict=True):
        ratios = {m: some["members"][m] / one - 1 for m, one in none["members"].items()}
        worst = max(ratios, key=lambda m: ratios[m])
        print(
            f"seed {none['seed']}: {some['missed']} of {some['of']} missing,"
            f" {some['bits_per_byte'] / none['bits_per_byte'] - 1:+.2%},"
            f" worst {worst} {ratios[worst]:+.2%}"
        )


if __name__ == "__main__":
    main()

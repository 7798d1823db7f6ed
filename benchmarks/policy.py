"""A member's policy behind the default charter: how long a decision takes, and is it ever too wide?

    python benchmarks/policy.py [--policies 2000] [--requests 5] [--decisions 2000] [--seed 0]

Random policies and requests are those of `concord.testing.random_policies`, with its oracle: what
the engine alone says to the member's file alone, less what the charter forbids by plain Python.
"""

from __future__ import annotations

import argparse
import time
from random import Random

from concord.charter.bundle import bundle_from, member_policy
from concord.charter.counterfactual import question_from, what_would_change
from concord.charter.paths import LAW
from concord.charter.template import default_charter, default_policy
from concord.testing.random_policies import (
    charter_forbids,
    own_file_permits,
    random_policy,
    random_request,
)

ATLAS = default_charter("Atlas", members=5)
PLAIN = bundle_from({path: data for path, data in ATLAS.files.items() if path[:4] != LAW})
"""Without the laws, which speak of releases alone: ten thousand policies load faster behind it."""


def timings(decisions: int, random: Random) -> None:
    begun = time.perf_counter()
    policy = member_policy(ATLAS, default_policy())
    print(f"load and validate: {(time.perf_counter() - begun) * 1e3:.1f} ms")
    asked = [random_request(random) for _ in range(decisions)]
    spent, busy = [], []
    for one in asked:
        begun, busy_from = time.perf_counter(), time.process_time()
        policy.decide(one.request, one.entities)
        spent.append(time.perf_counter() - begun)
        busy.append(time.process_time() - busy_from)
    print(f"{decisions:,} decisions, {len(policy.rules)} rules")
    print(f"  by the clock: {_shares(spent)}")
    print(f"  of them busy: {_shares(busy)}")
    spent = []
    for one in asked[:50]:
        begun = time.perf_counter()
        what_would_change(policy, question_from(one.request, one.entities))
        spent.append(time.perf_counter() - begun)
    spent.sort()
    print(f"what would change it, 50 times: median {spent[25] * 1e3:.0f} ms,"
          f" slowest {spent[-1] * 1e3:.0f} ms")  # fmt: skip


def _shares(spent: list[float]) -> str:
    ordered = sorted(spent)
    return ", ".join(
        f"{name} {ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e3:.2f} ms"
        for name, share in (("median", 0.5), ("99 %", 0.99), ("slowest", 1.0))
    )


def never_wider(policies: int, requests: int, random: Random) -> None:
    allowed = denied_by_charter = faults = wrong = 0
    for _ in range(policies):
        text = random_policy(random)
        policy = member_policy(PLAIN, text)
        for _ in range(requests):
            asked = random_request(random)
            verdict = policy.decide(asked.request, asked.entities)
            own = own_file_permits(text, ATLAS.schema, asked)
            forbids = charter_forbids(asked)
            allowed += verdict.allowed
            faults += bool(verdict.faults)
            denied_by_charter += bool(own and forbids)
            wrong += verdict.allowed and bool(not own or forbids)
            wrong += not verdict.faults and verdict.allowed != (own and not forbids)
    total = policies * requests
    print(f"{policies:,} policies, {total:,} requests: {allowed:,} allowed,"
          f" {denied_by_charter:,} that the file alone allows and the charter forbids,"
          f" {faults:,} with errors (all denied); wrong: {wrong}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, default=2_000)
    parser.add_argument("--requests", type=int, default=5)
    parser.add_argument("--decisions", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    timings(chosen.decisions, Random(chosen.seed))
    never_wider(chosen.policies, chosen.requests, Random(chosen.seed))


if __name__ == "__main__":
    main()

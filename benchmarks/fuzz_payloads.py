"""Ten thousand damaged payloads, and as many damaged frames and signed ones: what becomes of them.

make bench-fuzz
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from concord.testing.gauntlet import ACCEPTED, Gauntlet, said
from concord.testing.mutations import mutated

MEMBERS = ("chad", "fiji", "iran", "peru")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--codec", default="int4")
    arguments = parser.parse_args()
    for kind in ("payload", "frame", "signed"):
        began_s = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            found, base = attack(kind, Path(folder), arguments)
        print(
            f"{kind}: {sum(found.values()):,} sent, {found[ACCEPTED]:,} accepted, "
            f"{time.process_time() - began_s:.0f} CPU s, the round led to {base[:15]}"
        )
        for outcome, count in found.most_common(12):
            print(f"    {count:7,}  {outcome}")


def attack(kind: str, root: Path, arguments: argparse.Namespace) -> tuple[Counter[str], str]:
    """Send damaged bytes for one member, then honest ones for all others, and close the round."""
    gauntlet, draw = Gauntlet(root, MEMBERS, {"codec": arguments.codec}), Random(arguments.seed)
    payload = gauntlet.payload("fiji")
    entry = gauntlet.entry("fiji", payload)
    frame, found = said(entry, payload), Counter[str]()
    before = gauntlet.history.state
    for _ in range(arguments.count):
        damaged = mutated(frame if kind == "frame" else payload, draw)
        if kind == "payload":
            damaged = said(entry, damaged)
        elif kind == "signed":
            damaged = said(gauntlet.entry("fiji", damaged), damaged)
        elif damaged.startswith(frame):
            continue  # bytes behind a whole frame begin the next one
        outcome = gauntlet.outcome("fiji", damaged)
        found[" ".join(outcome.split()[:9]) if outcome != ACCEPTED else ACCEPTED] += 1
        if outcome == ACCEPTED:
            gauntlet.merge.discard()
            gauntlet.history.replica.state = before
    for member in MEMBERS:
        if member != "fiji":
            own = gauntlet.payload(member)
            assert gauntlet.outcome(member, said(gauntlet.entry(member, own), own)) == ACCEPTED
    assert gauntlet.spooled == 3, "no damaged payload is kept"
    return found, gauntlet.close().base


if __name__ == "__main__":
    main()

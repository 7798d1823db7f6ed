"""How long the public pages of a long log take, and how large they are.

    python benchmarks/observatory.py [--rounds 1000] [--members 6]

A history is said in memory by all its parties, with the functions of a real run, and published;
then its pages are made in all languages, as `concord observe` makes them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from concord.observatory.pages.bundle import build
from concord.observatory.pages.language import languages
from concord.observatory.pages.source import read_source
from concord.testing.history import History

NAMES = ("chad", "fiji", "laos", "mali", "peru", "togo", "cuba", "iran", "oman", "niue")
MEASURED_EVERY = 10


def long_history(root: Path, rounds: int, members: int) -> History:
    """A run of so many rounds; one member refuses every seventh."""
    names = NAMES[:members]
    history = History(root, names)
    run = history.adopt(rounds={"count": rounds, "inner_steps": 4, "quorum": "1/2"})
    for member in names:
        run.measure(member)
    for number in range(1, rounds + 1):
        run.call()
        away = {names[-1]} if number % 7 == 0 else set()
        for member in away:
            run.refuse(member)
        updates = {member: run.answer(member) for member in names if member not in away}
        run.commit(updates, left_out=dict.fromkeys(away, "declined"))
        if number % MEASURED_EVERY == 0:
            for member in names:
                run.measure(member)
    history.publish()
    return history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--members", type=int, default=6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.perf_counter()
        history = long_history(Path(folder) / "atlas", options.rounds, options.members)
        print(f"history: {len(history.entries):,} entries, {time.perf_counter() - began_s:.0f} s")
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        source = read_source(history.root, made=history.now)
        read_s = time.perf_counter() - began_s
        out = Path(folder) / "observatory"
        made = build(source, languages(), out)
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
        print(f"read and checked {read_s:.1f} s, all {wall_s:.1f} s ({cpu_s:.1f} s of one core)")
        print(f"{made.pages} pages, {made.languages} languages, {made.files:,} files,", end=" ")
        print(f"{made.bytes:,} bytes")
        for name in ("index", "citizen", "member-chad", "auditor", "training", "decisions"):
            size = (out / f"{name}.html").stat().st_size
            print(
                f"{name}.html with style.css: {size + (out / 'style.css').stat().st_size:,} bytes"
            )


if __name__ == "__main__":
    main()

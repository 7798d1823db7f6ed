"""docs/benchmarks/sealed-run.md, drawn from sealed-run.json."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, median
from typing import Any

TITLES = {
    "open": "open, int8",
    "control": "open, bf16",
    "sealed": "sealed, all languages named",
    "left_out": "sealed, rows of lone languages left out",
    "local_state": "sealed, all named, second moments stay at home",
}
HEAD = """# A sealed run beside an open one

    make bench-sealed-run CORPORA=<folder>

Real text of six members, one language each ({members}).
{parameters:,} parameters, {vocabulary:,} tokens, {rounds} rounds of 20 steps of 256 tokens, the run
document's own rates, one thread. Text, tokenizer, first base, samples and seed are the same in all
arms. Seeds: {seeds}. Date: {date}. Machine: {machine}.

Members and merging are the product's, in one process. The sealed arms add up the integers that
members would mask, without the masks, which cancel exactly.

## Quality

Bits per byte of each member's held-out text, and the difference to the open arm of the same seed.
Target: at most +0.5 % on every language.

"""
TIME = """
## Time of a round

    make bench-sealed-time

Eight processes over the embedded engine, 25 M values, updates of 50 MB in both modes (open in bf16,
sealed in `ring16`), no training: what is left of a round is encoding or masking, moving, screening
or opening, merging, the log, the step. The first round of each start is not counted. Target: sealed
at most 1.25 × open.

| mode | rounds, s | median, s |
|---|---|--:|
| open | {open} | {open_median:.1f} |
| sealed | {sealed} | {sealed_median:.1f} |

Sealed / open, by medians: **{ratio:.2f}**. {load}
"""


def page(found: Mapping[str, Any], reading: str = "") -> str:
    """The page's text."""
    rows = found["arms"]
    first = rows[0]
    text = HEAD.format(
        members=", ".join(sorted(first["members"])),
        parameters=first["parameters"],
        vocabulary=first["vocabulary"],
        rounds=first["rounds"],
        seeds=", ".join(str(s) for s in sorted({row["seed"] for row in rows})),
        date=max(row["date"] for row in rows),
        machine=", ".join(f"{k} {v}" for k, v in found["machine"].items()),
    )
    text += _quality(rows)
    if "time" in found:
        text += _time(found["time"])
    return text + reading


def _quality(rows: list[Mapping[str, Any]]) -> str:
    members = sorted(rows[0]["members"])
    lines = [
        f"| arm | seed | {' | '.join(members)} | mean | worst | bytes up per parameter |",
        f"|---|--:|{'--:|' * (len(members) + 3)}",
    ]
    opens = {row["seed"]: row["members"] for row in rows if row["arm"] == "open"}
    for row in sorted(rows, key=lambda row: (list(TITLES).index(row["arm"]), row["seed"])):
        base = opens[row["seed"]]
        changes = {m: 100 * (row["members"][m] / base[m] - 1) for m in members}
        plain = row["arm"] == "open"
        cells = [
            f"{row['members'][m]:.4f}"
            if plain
            else f"{row['members'][m]:.4f} ({changes[m]:+.2f} %)"
            for m in members
        ]
        mean = fmean(row["members"].values())
        worst = "" if plain else f"{max(changes.values()):+.2f} %"
        lines.append(
            f"| {TITLES[row['arm']]} | {row['seed']} | {' | '.join(cells)} | {mean:.4f} | {worst} |"
            f" {row['bytes_up_per_parameter']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def _time(time: Mapping[str, Any]) -> str:
    return TIME.format(
        open=", ".join(f"{s:.1f}" for s in time["open"]),
        sealed=", ".join(f"{s:.1f}" for s in time["sealed"]),
        open_median=median(time["open"]),
        sealed_median=median(time["sealed"]),
        ratio=median(time["sealed"]) / median(time["open"]),
        load=f"Load of the machine while it was measured: {time['load']:.0f} on two cores.",
    )

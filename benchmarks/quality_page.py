"""The page of the quality benchmark, drawn from its rows and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def ratio(row: Row) -> float:
    """Mean bits per byte of the shared model over those of the pooled one."""
    return mean(row["shared"]) / mean(row["arms"]["pooled"])


def mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)


def render(rows: Sequence[Row]) -> str:
    """The page, from the rows alone."""
    preset = rows[0]["preset"]
    command = f"make bench-{'gpu' if preset == 'gpu' else 'quality'}"
    dates = sorted({row["date"] for row in rows})
    machines = sorted({"{system}, {cores} cores, {memory}".format(**r["machine"]) for r in rows})
    lines = [
        "# The shared model against the pooled one",
        "",
        f"Command `{command}` (`benchmarks/quality.py`, preset `{preset}`), measured on",
        f"{' and '.join(dates)}; machine: {'; '.join(machines)}.",
        "",
        "Text: members of the real corpora, trained on their training part and measured on their",
        "held-out part. Mean bits per byte over all members' text, at equal total tokens, with the",
        "same tokenizer, start, number of steps and rates in every arm.",
        "",
        "| seed | parameters | rounds × H | tokens | shared | pooled | shared ÷ pooled | B up |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    ratios = [ratio(row) for row in rows]
    for row in rows:
        shared, pooled = mean(row["shared"]), mean(row["arms"]["pooled"])
        lines.append(
            f"| {row['seed']} | {row['parameters']:,} | {row['rounds']} × {row['inner_steps']} |"
            f" {row['tokens']:,} | {shared:.4f} | {pooled:.4f} | **{shared / pooled:.4f}** |"
            f" {row['update_bytes_per_parameter']:.3f} |"
        )
    least, most = min(ratios), max(ratios)
    summary = f"Mean ratio over {len(ratios)} seeds: **{sum(ratios) / len(ratios):.4f}**"
    lines += [
        "",
        "`B up`: bytes up per parameter and round, everything that an update carries.",
        "",
        f"{summary} (least {least:.4f}, most {most:.4f}).",
    ]
    for row in rows:
        if any(name.startswith("alone/") for name in row["arms"]):
            lines += member_table(row)
    return "\n".join(lines) + "\n"


def member_table(row: Row) -> list[str]:
    """Own text by member, and the worst member by name."""
    arms = row["arms"]
    lines = [
        "",
        f"## Seed {row['seed']}, member by member",
        "",
        "Bits per byte on the member's own held-out text; the last two columns on everyone's.",
        "`build`: the sovereign build, the shared base continued at home for a tenth of the steps.",
        "",
        "| member | alone | shared | build | build ÷ alone | pooled | alone, world | ÷ pooled |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    worst = ("", 0.0)
    for member in sorted(row["shared"]):
        own = arms[f"alone/{member}"][member]
        built = arms[f"sovereign/{member}"][member]
        world = mean(arms[f"alone/{member}"])
        worst = max(worst, (member, built / own), key=lambda pair: pair[1])
        lines.append(
            f"| {member} | {own:.4f} | {row['shared'][member]:.4f} | {built:.4f} |"
            f" {built / own:.4f} | {arms['pooled'][member]:.4f} | {world:.4f} |"
            f" {world / mean(arms['pooled']):.2f} |"
        )
    return [
        *lines,
        "",
        f"Worst member after its sovereign build: {worst[0]}, {worst[1]:.4f} × alone.",
    ]

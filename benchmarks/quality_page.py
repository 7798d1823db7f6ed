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
        "same tokenizer, start and number of steps. Pooled and alone models train at 0.005, the",
        "best of three rates for a pooled one in the [ablation](ablation.md).",
        "",
        "| rates | seed | parameters | rounds × H | tokens | shared | pooled | ratio | B up |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        shared, pooled = mean(row["shared"]), mean(row["arms"]["pooled"])
        lines.append(
            f"| {row['rates']} | {row['seed']} | {row['parameters']:,} |"
            f" {row['rounds']} × {row['inner_steps']} | {row['tokens']:,} | {shared:.4f} |"
            f" {pooled:.4f} | **{shared / pooled:.4f}** | {row['update_bytes_per_parameter']:.3f} |"
        )
    lines += [
        "",
        "`rates`: inner rate, outer rate of the body, outer rate of the embedding, beta2 of AdamW.",
        "`B up`: bytes up per parameter and round, everything that an update carries.",
        "",
        *(summary(rates, rows) for rates in dict.fromkeys(row["rates"] for row in rows)),
    ]
    for row in rows:
        if any(name.startswith("alone/") for name in row["arms"]):
            lines += member_table(row)
    return "\n".join(lines) + "\n"


def summary(rates: str, rows: Sequence[Row]) -> str:
    """Mean over the seeds that were run at some rates."""
    ratios = [ratio(row) for row in rows if row["rates"] == rates]
    mean_ratio = sum(ratios) / len(ratios)
    spread = f" (least {min(ratios):.4f}, most {max(ratios):.4f})" if len(ratios) > 1 else ""
    seeds = "1 seed" if len(ratios) == 1 else f"{len(ratios)} seeds"
    return f"- {rates}: mean ratio over {seeds} **{mean_ratio:.4f}**{spread}."


def member_table(row: Row) -> list[str]:
    """Own text by member, and the worst member by name."""
    arms = row["arms"]
    lines = [
        "",
        f"## Seed {row['seed']} at {row['rates']}, member by member",
        "",
        "Bits per byte on the member's own held-out text; the last two columns on everyone's.",
        "`build`: the sovereign build, the shared base continued at home for a tenth of the steps.",
        *([row["note"]] if "note" in row else []),
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

"""docs/benchmarks/hostile.md, drawn from hostile.json."""

# ruff: noqa: E501 - sentences of a page

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TOY = {
    "mean": "3.05 / 3.21",
    "mean, clipped (1.0)": "3.06 / 3.21",
    "centred_clipping, clipped (1.5)": "3.05 / 3.20",
    "geometric_median, clipped (1.5)": "3.07 / 3.27",
    "nnm_trimmed_mean, clipped (1.5)": "3.30 / 4.89",
    "multi_krum, clipped (1.5)": "3.61 / 7.11",
    "trimmed_mean, clipped (1.5)": "4.53 / 5.71",
    "coordinate_median, clipped (1.5)": "5.65 / 6.53",
    "krum, clipped (1.5)": "12.1 / 14.2",
}
"""Another toy, in nats per character: eight members with one script each, 28 k parameters."""


def page(found: Mapping[str, Any]) -> str:
    """The page."""
    setting, rows = found["setting"], found["rows"]
    default = setting["default"]
    clean, alone = rows[f"{default} / none"], rows.get(f"{default} / NaN")
    return "\n".join(
        [
            *_head(setting, rows),
            *_rules(rows, clean),
            *_attacks(rows, default, clean, alone),
            *_others(rows, default),
        ]
    )


def _head(setting: Mapping[str, Any], rows: Mapping[str, Any]) -> list[str]:
    one = next(iter(rows.values()))
    sizes = setting["sizes"]
    return [
        "# Hostile members",
        "",
        (
            f"`make bench-hostile`, seed {setting['seed']}, {one['date']}, one thread of a 2-core machine"
            " shared with other work. Drawn from `hostile.json`."
        ),
        "",
        (
            f"Eight members of the almanac, {one['parameters']:,} parameters,"
            f" {sizes['rounds']['count']} rounds of {sizes['rounds']['inner_steps']} steps, default codec"
            f" and rates. {setting['attacker'].title()} attacks, in every round; the loss is that of the"
            " seven others' held-out text, in bits per byte: mean, and worst member. Small networks and"
            " one seed: they show mechanisms, never a size."
        ),
        "",
    ]


def _rules(rows: Mapping[str, Any], clean: Mapping[str, Any]) -> list[str]:
    """What each rule does to honest members when nobody attacks."""
    lines = [
        "## What each rule costs when nobody attacks",
        "",
        (
            "| rule | mean | worst | against the clipped mean | worst member | left out by screening |"
            " earlier toy, nats |"
        ),
        "|---|--:|--:|--:|---|--:|--:|",
    ]
    for name, row in rows.items():
        rule, _, attack = name.partition(" / ")
        if attack != "none" or "probe gate" in rule:
            continue
        change = 100 * (row["mean"] / clean["mean"] - 1)
        out = row["honest_left_out"] + row["attacker_left_out"]
        lines.append(
            f"| {rule} | {row['mean']:.3f} | {row['worst']:.3f} | {change:+.1f} % |"
            f" {row['worst_member']} | {out} | {TOY.get(rule, '')} |"
        )
    note = (
        "The last column is from another toy: one script per member, characters, 28 thousand parameters, 22 rounds, no"
        " shared words. There the same rules cost far more, in the same order but for NNM and the median. Here members"
        " share digits, names and places, and a vocabulary of pieces; with shared text the cost falls."
    )
    return [*lines, "", note, ""]


def _attacks(
    rows: Mapping[str, Any],
    default: str,
    clean: Mapping[str, Any],
    alone: Mapping[str, Any] | None,
) -> list[str]:
    lines = [
        "## Each attack against the clipped mean",
        "",
        (
            "Clean is the run in which all eight are honest. A round without the attacker is better for"
            " the seven others than a clean one, since the network has one language fewer to learn; the"
            " last column compares with a run in which the attacker is refused in every round."
        ),
        "",
        (
            "| attack | mean | worst | mean against clean | worst against clean |"
            " mean against seven alone | attacker left out | honest left out |"
        ),
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in rows.items():
        rule, _, attack = name.partition(" / ")
        if rule != default:
            continue
        against = "" if alone is None else f"{100 * (row['mean'] / alone['mean'] - 1):+.1f} %"
        lines.append(
            f"| {attack} | {row['mean']:.3f} | {row['worst']:.3f} |"
            f" {100 * (row['mean'] / clean['mean'] - 1):+.1f} % |"
            f" {100 * (row['worst'] / clean['worst'] - 1):+.1f} % | {against} |"
            f" {row['attacker_left_out']} | {row['honest_left_out']} |"
        )
    return [*lines, ""]


def _others(rows: Mapping[str, Any], default: str) -> list[str]:
    lines = [
        "## Other rules under attack",
        "",
        "| rule | attack | mean | worst |",
        "|---|---|--:|--:|",
    ]
    found = [
        (rule, attack, row)
        for name, row in rows.items()
        for rule, _, attack in [name.partition(" / ")]
        if rule != default and attack != "none"
    ]
    if not found:
        return ["Other rules under attack were not measured.", ""]
    lines += [f"| {r} | {a} | {row['mean']:.3f} | {row['worst']:.3f} |" for r, a, row in found]
    return [*lines, ""]

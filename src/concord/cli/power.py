"""The power table in words: who can pass, block, or never matter under each rule."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from concord.charter.lint import LintReport
from concord.charter.power import PowerReport
from concord.charter.rules import Rule
from concord.cli.say import columns, say


def tell_power(name: str, rule: Rule, power: PowerReport) -> None:
    """Print what one rule means for its voters."""
    keys = "; and ".join(key.title for key in rule.all)
    say(f"\nrule {name}: {keys}", style="bold")
    rows = [[voter, _share(power, voter), _weakness(power, voter)] for voter in power.voters]
    for line in columns(rows, indent="  "):
        say(line)
    say(f"  fewest who pass: {len(power.smallest_passing)} ({', '.join(power.smallest_passing)})")
    blocking = power.smallest_blocking
    say(f"  fewest who block: {len(blocking)} ({', '.join(blocking)})")
    say(f"  so many away miss the quorum: {power.smallest_absence}")
    for key in power.dead_keys:
        say(f"  decides nothing among these: {key}", style="yellow")


def _share(power: PowerReport, voter: str) -> str:
    return "" if power.banzhaf is None else percent(power.banzhaf[voter])


def percent(share: Fraction) -> str:
    """A share for people; the exact one is in the JSON."""
    return f"{float(share):6.1%}"


def _weakness(power: PowerReport, voter: str) -> str:
    weak = power.weaknesses
    found = [
        ("passes alone", weak.passes_alone),
        ("blocks alone", weak.blocks_alone),
        ("powerless", weak.powerless),
    ]
    return ", ".join(words for words, voters in found if voter in voters)


def tell_lint(report: LintReport) -> None:
    """Print errors, warnings and what is intended."""
    for sentence in report.intended:
        say(sentence, style="dim")
    for sentence in report.warnings:
        say(f"warning: {sentence}", style="yellow")
    for sentence in report.errors:
        say(f"refused: {sentence}", style="bold red")


def lint_json(report: LintReport) -> dict[str, Any]:
    """The report for scripts; shares as exact fractions."""
    return {
        "errors": list(report.errors),
        "warnings": list(report.warnings),
        "intended": list(report.intended),
        "power": {name: _power_json(power) for name, power in report.power.items()},
    }


def _power_json(power: PowerReport) -> dict[str, Any]:
    weak = power.weaknesses
    shares = None
    if power.banzhaf is not None:
        shares = {voter: str(share) for voter, share in power.banzhaf.items()}
    return {
        "banzhaf": shares,
        "passes_alone": list(weak.passes_alone),
        "blocks_alone": list(weak.blocks_alone),
        "powerless": list(weak.powerless),
        "smallest_passing": list(power.smallest_passing),
        "smallest_blocking": list(power.smallest_blocking),
        "smallest_absence": power.smallest_absence,
        "dead_keys": list(power.dead_keys),
    }

"""A plan in words: what a run needs, and a line for each link and codec."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from concord.cli.quantities import bits_shown, bytes_shown, seconds_shown
from concord.cli.say import columns, say
from concord.federation.planning.plan import choose, rule_of, simulated_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concord.federation.planning.needs import Needs
    from concord.federation.planning.plan import Machines, Row, Work

HEAD = ("link", "codec", "train", "exchange", "round", "run", "blocking", "overlapped")
NOTES = (
    "* the most exact codec with which members train 90 % of the time; else the one with most",
    "first limit: what is used most, as a share of what there is; over 100 % the run breaks",
    "  link, core: moving, or the coordinator's screening and merging, against training",
)


def tell_needs(wanted: Sequence[Needs], machines: Machines, work: Work) -> None:
    """Print what does not depend on a member's link; one entry of `wanted` for each codec."""
    first = wanted[0]
    model, members = first.run.model, len(first.run.roster)
    rounds = work.rounds(members)
    say(
        f"{first.parameters:,} parameters ({model.layers} layers of {model.hidden:,}),"
        f" {members} members"
    )
    say(
        f"{work.round_tokens:,.0f} tokens per member and round, {work.tokens:.3g} in all:"
        f" {rounds:,} rounds"
    )
    say(
        f"member's devices: {bytes_shown(first.member_memory)} without activations;"
        f" its disk: {bytes_shown(first.member_disk)}"
    )
    say("\ncoordinator, by codec:", style="bold")
    rows = [("codec", "up", "down", "memory", "disk at the end", "its core, a round")]
    rows += [
        (
            needs.run.update.codec,
            bytes_shown(needs.up_bytes),
            bytes_shown(needs.down_bytes),
            bytes_shown(needs.coordinator_memory),
            bytes_shown(needs.coordinator_disk(rounds)),
            seconds_shown(members * needs.screen_s + needs.merge_s),
        )
        for needs in wanted
    ]
    for line in columns(rows, indent="  "):
        say(line)
    hub = "as fast as all" if math.isinf(machines.hub_bits) else bits_shown(machines.hub_bits)
    parts = "" if first.fragments == 1 else f", of the largest of {first.fragments} fragments"
    say(f"up, down: bytes of one member in one round{parts}; the coordinator's link: {hub}")


def tell_rows(first: Needs, groups: Sequence[Sequence[Row]], unequal: float) -> None:
    """Print a line for each link and codec."""
    say(f"\na round, {_overlap_words(groups[0][0].overlap)}:", style="bold")
    cells = [[*HEAD, *(["unequal"] if unequal else []), "first limit"]]
    for group in groups:
        cells += [_cells(first, one, unequal, best=one is choose(group)) for one in group]
    for line in columns(cells, indent="  "):
        say(line)
    for note in NOTES:
        say(note)
    if unequal:
        say(f"unequal: simulated, members' speeds from {1 - unequal:.0%} to {1 + unequal:.0%}")


def _overlap_words(overlap: float) -> str:
    if 0 < overlap < 1:
        return f"{overlap:.0%} of its steps ahead"
    return "overlapped" if overlap else "blocking"


def _cells(first: Needs, row: Row, unequal: float, *, best: bool) -> list[str]:
    found = [
        bits_shown(row.link_bits),
        row.codec + (" *" if best else ""),
        seconds_shown(row.setting.train_s),
        seconds_shown(row.setting.exchange_s),
        seconds_shown(row.round_s),
        f"{row.days:,.1f} d",
        f"{row.setting.utilisation(overlap=0):.0%}",
        f"{row.setting.utilisation(overlap=row.overlap or 1):.0%}",
    ]
    if unequal:
        found.append(seconds_shown(simulated_s(row, spread=unequal, rule=rule_of(first))))
    return [*found, f"{row.limits[0].name} {row.limits[0].used:,.0%}"]


def plan_json(
    wanted: Sequence[Needs],
    machines: Machines,
    work: Work,
    groups: Sequence[Sequence[Row]],
    unequal: float,
) -> dict[str, Any]:
    """All of it, for a script; a link without end is null."""
    first = wanted[0]
    rounds = work.rounds(len(first.run.roster))
    return {
        "parameters": first.parameters,
        "members": len(first.run.roster),
        "fragments": first.fragments,
        "rounds": rounds,
        "work": asdict(work),
        "machines": asdict(machines) | {"hub_bits": _finite(machines.hub_bits)},
        "member": {"devices_bytes": first.member_memory, "disk_bytes": first.member_disk},
        "coordinator": {
            needs.run.update.codec: {
                "up_bytes": needs.up_bytes,
                "down_bytes": needs.down_bytes,
                "memory_bytes": needs.coordinator_memory,
                "disk_bytes": needs.coordinator_disk(rounds),
                "core_s": len(first.run.roster) * needs.screen_s + needs.merge_s,
            }
            for needs in wanted
        },
        "rows": [
            {
                "link_bits": one.link_bits,
                "codec": one.codec,
                "chosen": one is choose(group),
                "train_s": one.setting.train_s,
                "exchange_s": one.setting.exchange_s,
                "round_s": one.round_s,
                "run_days": one.days,
                "utilisation": {
                    "blocking": one.setting.utilisation(overlap=0),
                    "overlapped": one.setting.utilisation(overlap=one.overlap or 1),
                },
                "unequal_round_s": _unequal_s(first, one, unequal),
                "limits": {limit.name: limit.used for limit in one.limits},
            }
            for group in groups
            for one in group
        ],
    }


def _finite(bits: float) -> float | None:
    return bits if math.isfinite(bits) else None


def _unequal_s(first: Needs, row: Row, spread: float) -> float | None:
    return simulated_s(row, spread=spread, rule=rule_of(first)) if spread else None

"""The page of the ablation: its setting and its table, from what was measured.

Between two marks the page is drawn anew each time; the words around them are people's and stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ablation_variants import ARMS

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
EMPTY = f"# What matters in a federation, and by how much\n\n{BEGIN}\n{END}\n"
COMMAND = "OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/ablation.py --corpora <folder>"
COLUMNS = ("row", "bits per byte", "÷ best pooled", "vs reference", "own model")
COLUMNS += ("bytes up / parameter, round", "rounds × H")


def page(results: Mapping[str, Any], earlier: str) -> str:
    """The page with its measured part drawn anew."""
    before, _, rest = (earlier if BEGIN in earlier else EMPTY).partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{measured(results)}\n{END}{after}"


def measured(results: Mapping[str, Any]) -> str:
    rows, setting = results["rows"], results["setting"]
    parameters = max(row["parameters"] for row in rows.values())
    sizes = setting["sizes"]
    dates = " and ".join(sorted({row["date"] for row in rows.values()}))
    where = "2 cores, AMD EPYC, 24 GB, one thread (other work ran on the machine)"
    sizes = (
        f"{parameters:,} parameters, vocabulary 4,096 (parity mode), context"
        f" {sizes['model.context']}, {sizes['inner.batch_tokens']} tokens per member and step,"
        f" {setting['steps']} steps, {setting['heldout_bytes'] // 1000} kB of held-out text each"
    )
    lines = [
        f"    {COMMAND}",
        "",
        f"{dates}, {where}. Seed {setting['seed']} unless a row says otherwise.",
        f"Members, one language each: {', '.join(setting['members'])}. {sizes}.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|---{'|--:' * (len(COLUMNS) - 1)}|",
    ]
    return "\n".join([*lines, *(line(name, rows[name], rows) for name in order(rows))])


def order(rows: Mapping[str, Any]) -> Iterator[str]:
    """Pooled arms, the reference, then the others from best to worst; other groups at the end."""
    names = [arm.name for arm in ARMS if arm.name in rows]
    names += sorted(set(rows) - set(names))
    ranks = {"": 0}

    def rank(name: str) -> tuple[int, int, float]:
        row = rows[name]
        group = ranks.setdefault(row["group"], len(ranks))
        kind = 0 if row["kind"] == "pooled" else 1 if is_reference(row) else 2
        return (group, kind, row["bits_per_byte"])

    yield from sorted(names, key=rank)


def line(name: str, row: Mapping[str, Any], rows: Mapping[str, Any]) -> str:
    best = least(rows, row["group"], "pooled")
    group = [other for other in rows.values() if other["group"] == row["group"]]
    reference = next((other["bits_per_byte"] for other in group if is_reference(other)), None)
    found = row["bits_per_byte"]
    bold = is_reference(row) or name.startswith("default:")
    cells = [f"**{name}**" if bold else name, f"{found:.4f}"]
    cells.append(f"{found / best:.4f}" if best else "")
    if row["kind"] == "pooled":
        cells += ["", "", "", ""]
    else:
        cells.append(f"{found / reference - 1:+.2%}" if reference and not is_reference(row) else "")
        cells.append(f"{row['local_bits_per_byte']:.4f}")
        cells.append(f"{row['bytes_up_per_parameter']:.4f}")
        steps_in_rounds = row["steps"] - row["warm_steps"]
        cells.append(f"{row['rounds']} × {steps_in_rounds / row['rounds']:.0f}")
    return f"| {' | '.join(cells)} |"


def least(rows: Mapping[str, Any], group: str, kind: str) -> float | None:
    found = [
        row["bits_per_byte"]
        for row in rows.values()
        if row["group"] == group and row["kind"] == kind
    ]
    return min(found, default=None)


def is_reference(row: Mapping[str, Any]) -> bool:
    """Whether nothing was changed but what the whole group has in common."""
    common = {"inner.batch_tokens", "seed"} if row["group"] else set()
    plain = row["text"] == "own" and not row["warm_steps"]
    return row["kind"] == "federation" and plain and not set(row["changes"]) - common

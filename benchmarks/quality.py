"""The number that matters: the shared model against the best pooled one, at equal total tokens.

Six members of different languages and scripts train together with `concord run`'s own code, one
process each. Beside it, for each seed, one pooled model of the same start, tokenizer, steps and
tokens; for the seeds named by --alone also each member alone and each member's sovereign build.
Every finished part is kept in --work, so that a benchmark that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

from quality_page import Row, ratio, render
from rich.console import Console

from concord.base.tensors import TensorFile
from concord.charter.bundle import load_bundle
from concord.charter.run import RunDocument
from concord.charter.schedule import outer_rate
from concord.cli.initialise import found_here, make_text_federation
from concord.cli.watch import TerminalWatcher
from concord.federation.comparison.outcome import ArmResult, Kind
from concord.federation.comparison.pool import compare
from concord.federation.evidence import machine
from concord.federation.folders import FederationFolder
from concord.federation.launch import run_locally
from concord.federation.records import RunFolder
from concord.ledger.layouts import parameter_count

MEMBERS = {
    "brazil": ("por_Latn",),
    "ethiopia": ("amh_Ethi",),
    "greece": ("ell_Grek",),
    "kerala": ("mal_Mlym",),
    "nigeria": ("ibo_Latn",),
    "thailand": ("tha_Thai",),
}
GPU_MEMBERS = {**MEMBERS, "iceland": ("isl_Latn",), "ukraine": ("ukr_Cyrl",)}
LN2 = math.log(2)


@dataclass(frozen=True)
class Preset:
    """Sizes of a benchmark."""

    name: str
    members: dict[str, tuple[str, ...]]
    toml: str


CPU = """
[model]
hidden = 128
layers = 2
intermediate = 512
context = 128

[tokenizer]
merges = 3839
sample_bytes = 3000000

[inner]
batch_tokens = 256
warmup_steps = 100

[rounds]
count = 150
inner_steps = 20
quorum = "1"

[evaluation]
every_rounds = 50
max_bytes = 60000
"""
GPU = """
[model]
hidden = 512
layers = 10
heads = 8
kv_heads = 4
head_dim = 64
intermediate = 1536
context = 512

[tokenizer]
merges = 16127
sample_bytes = 6000000

[inner]
batch_tokens = 16384
warmup_steps = 300
lr = 0.001
matrix_lr = 0.001

[rounds]
count = 300
inner_steps = 30
quorum = "1"

[evaluation]
every_rounds = 50
max_bytes = 200000
"""
PRESETS = {"cpu": Preset("cpu", MEMBERS, CPU), "gpu": Preset("gpu", GPU_MEMBERS, GPU)}


def run_toml(preset: Preset, seed: int, owner_cap: Fraction) -> str:
    roster = [
        f'[[roster]]\nid = "{member}"\nlanguages = {json.dumps(list(languages))}\n'
        for member, languages in sorted(preset.members.items())
    ]
    return f'name = "quality"\nseed = {seed}\n\n' + "\n".join(
        [*roster, preset.toml, f'[update]\nowner_cap = "{owner_cap}"\n']
    )


def measure_seed(
    corpora: Path, work: Path, preset: Preset, *, seed: int, kinds: tuple[Kind, ...]
) -> Row:
    """Run or finish one seed and return its row of the table."""
    root = work / f"seed-{seed}"
    if not root.exists():
        make_text_federation(
            root,
            corpora / "train",
            heldout=corpora / "heldout",
            parallel=corpora / "parallel",
            wanted=preset.members,
        )
        found_here(FederationFolder(root), f"quality-{seed}", preset.members)
    federation = FederationFolder(root)
    cap = load_bundle(federation.charter).charter.influence.owner_cap
    federation.write_run(run_toml(preset, seed, cap), "quality")
    run = federation.load_run("quality")
    folder = RunFolder(root, "quality")
    with TerminalWatcher(Console(stderr=True), rounds=run.rounds.count) as watcher:
        run_locally(federation, run, resume=True, watcher=watcher)
        records = [record for _, record in folder.records()]
        watcher.stage("comparison")
        arms = compare(
            folder, run, first=records[0], last=records[-1], kinds=kinds, on_done=watcher.arm_done
        )
    contributions = [c for record in records[1:] for c in record.contributions.values()]
    parameters = parameter_count(TensorFile(folder.objects.path(records[-1].base)).specs)
    final = {m: e for m, e in folder.evaluations() if e.base == records[-1].base}
    return {
        "seed": seed,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "preset": preset.name,
        "rates": rates(run),
        "run": run.digest,
        "base": records[-1].base,
        "parameters": parameters,
        "rounds": len(records) - 1,
        "inner_steps": run.rounds.inner_steps,
        "tokens": sum(c.tokens for c in contributions),
        "update_bytes_per_parameter": sum(c.payload_bytes for c in contributions)
        / (len(contributions) * parameters),
        "shared": {m: e.nats / LN2 / e.bytes for m, e in sorted(final.items())},
        "arms": {name: bits(arm) for name, arm in sorted(arms.items())},
        "arm_tokens": {name: arm.tokens for name, arm in sorted(arms.items())},
        "left_out": sum(len(record.left_out) for record in records),
    }


def rates(run: RunDocument) -> str:
    """Inner rate, outer rate of the body, outer rate of the embedding, AdamW's beta2."""
    outer = (outer_rate(run, 0, embedding=embedding) for embedding in (False, True))
    shown = (f"{run.inner.matrix_lr:g}", *(f"{rate:.2f}" for rate in outer), f"{run.inner.beta2:g}")
    return " / ".join(shown)


def bits(arm: ArmResult) -> dict[str, float]:
    return {member: sums.nats / LN2 / sums.bytes for member, sums in arm.sums.items()}


def with_row(rows: list[Row], row: Row) -> list[Row]:
    """All rows with one more, in place of an earlier one of the same rates and seed; last first."""
    others = [r for r in rows if (r["rates"], r["seed"]) != (row["rates"], row["seed"])]
    return sorted([*others, row], key=lambda r: (r["rates"] != row["rates"], r["rates"], r["seed"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--work", type=Path, default=Path("bench-work"))
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--alone", type=int, nargs="*", default=[0, 1, 2], help="seeds with alone")
    args = parser.parse_args()
    name = "quality" if args.preset == "cpu" else f"quality-{args.preset}"
    path = args.out / f"{name}.json"
    args.out.mkdir(parents=True, exist_ok=True)
    rows = json.loads(path.read_text("utf-8")) if path.exists() else []
    for seed in args.seeds:
        kinds: tuple[Kind, ...] = ("pooled",)
        if seed in args.alone:
            kinds = ("pooled", "alone", "sovereign")
        work = args.work / name
        row = measure_seed(
            args.corpora.resolve(), work, PRESETS[args.preset], seed=seed, kinds=kinds
        )
        rows = with_row(rows, row)
        path.write_text(json.dumps(rows, indent=1) + "\n")
        path.with_suffix(".md").write_text(render(rows))
        print(f"seed {seed}: {ratio(row):.4f} x pooled")


if __name__ == "__main__":
    main()

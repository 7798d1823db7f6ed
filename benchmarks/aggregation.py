"""Aggregation alone: our merge from mapped files beside a plain FedAvg of FLARE, in one run.

    python benchmarks/aggregation.py [--parameters 33554432] [--members 6] [--large]

Each line is a process of its own. Times are processor time; memory is what the process held beyond
its imports, without pages of mapped files, which are listed apart. FLARE gets its arrays in memory
("aggregator alone"), or over its own connections ("job", see `flare_fedavg.py`). Ours reads int4
files. `--large` runs 774 M float32 parameters of 6 members beside a copy of the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from memory import Watch

from concord.base.digest import digest_bytes, digest_file
from concord.base.tensors import FloatArray, TensorFile, TensorSpec, write_tensors
from concord.update.combine import RoundPaths, apply_step, combine_round
from concord.update.layout import Entry, Layout, Role
from concord.update.merge import Accepted, Merge, MergeOptions
from concord.update.outer import OuterRule
from concord.update.payload import PayloadWriter, UpdateFile, UpdateIdentity
from concord.update.stack import measure

HERE = Path(__file__).parent
DIGEST = digest_bytes(b"benchmark")
COLUMNS = 1024
TRIES = 3
"""Of which the fastest counts: other work on the machine slows all of them."""


def layout_of(parameters: int, tensors: int, codec: str) -> Layout:
    """Tensors of 1,024 columns."""
    shape = (parameters // tensors // COLUMNS, COLUMNS)
    names = (f"layer.{number:03}.weight" for number in range(tensors))
    return Layout(tuple(Entry(TensorSpec(name, shape), Role.BODY, codec) for name in names))


def down_layout(layout: Layout) -> Layout:
    """What is sent back: the same, but for the codec that has one of its own for that."""
    codecs = {"sparse": "sparse_down"}
    return Layout(tuple(Entry(e.spec, e.role, codecs.get(e.codec, e.codec)) for e in layout))


def values_of(spec: TensorSpec, seed: int) -> FloatArray:
    """Normal values; a part of them, repeated, since drawing takes longer than merging."""
    part = np.random.default_rng(seed).standard_normal(spec.size // 64, np.float32)
    return np.tile(part * np.float32(1e-3), 64).reshape(spec.shape)


def write_updates(folder: Path, layout: Layout, members: int) -> None:
    for number in range(members):
        with (folder / f"m{number:02}.update").open("wb") as stream:
            identity = UpdateIdentity(DIGEST, 0, DIGEST, f"m{number:02}")
            writer = PayloadWriter(stream, layout, identity)
            values = values_of(layout.entries[0].spec, number)
            for _ in layout:
                writer.add(values)
            writer.finish()


def screened(folder: Path, layout: Layout, members: int) -> list[Accepted]:
    """What the coordinator does with each update when it comes: digest, decode, norms."""
    accepted = []
    for number in range(members):
        path = folder / f"m{number:02}.update"
        digest_file(path)
        update = UpdateFile(path, layout)
        accepted.append(Accepted(f"m{number:02}", update, Fraction(1, members), measure(update)))
    return accepted


def merge_side(folder: Path, layout: Layout, members: int) -> dict[str, float]:
    accepted = screened(folder, layout, members)
    merge = Merge(accepted, MergeOptions())
    watch = Watch()
    watch.start()
    spent_s = float("inf")
    for _ in range(TRIES):
        start_s = time.process_time()
        for entry in layout:
            merge.tensor(entry.name)
        spent_s = min(spent_s, time.process_time() - start_s)
    return {"cpu_s": spent_s, "peak_mb": watch.stop(), "mapped_mb": watch.peak_mapped_mb}


def round_side(folder: Path, layout: Layout, members: int) -> dict[str, float]:
    """Everything from the arrival of the updates on, with all results on disk."""
    specs = [entry.spec for entry in layout]
    out = folder / "out"
    out.mkdir()
    ones = np.ones(specs[0].shape, np.float32)
    digest = write_tensors(out / "base", specs, (ones for _ in specs), durable=False)
    del ones
    watch = Watch()
    watch.start()
    spent_s = wall_s = float("inf")
    for _ in range(1 if layout.entries[0].codec == "fp32" else TRIES):
        start_s, start_cpu_s = time.monotonic(), time.process_time()
        combine_round(
            base=TensorFile(out / "base"),
            outer_state=None,
            accepted=screened(folder, layout, members),
            options=MergeOptions(),
            outer=OuterRule(),
            rate=lambda _: 1.0,
            step_layout=down_layout(layout),
            identity=UpdateIdentity(DIGEST, 0, digest, None),
            paths=RoundPaths(out / "step", out / "new", out / "outer"),
        )
        spent_s = min(spent_s, time.process_time() - start_cpu_s)
        wall_s = min(wall_s, time.monotonic() - start_s)
    peak_mb = watch.stop()
    shutil.rmtree(out)
    return {"cpu_s": spent_s, "wall_s": wall_s, "peak_mb": peak_mb,
            "mapped_mb": watch.peak_mapped_mb}  # fmt: skip


def costs_side(folder: Path, layout: Layout, members: int) -> dict[str, float]:
    """What `concord bench plan` reckons with: nanoseconds of one core, and tensors held at once."""
    values = sum(entry.spec.size for entry in layout)
    whole = round_side(folder, layout, members)
    screen_s = merge_s = float("inf")
    for _ in range(TRIES):
        start_s = time.process_time()
        accepted = screened(folder, layout, members)
        screen_s = min(screen_s, time.process_time() - start_s)
        merge = Merge(accepted, MergeOptions())
        start_s = time.process_time()
        for entry in layout:
            merge.tensor(entry.name)
        merge_s = min(merge_s, time.process_time() - start_s)
    return {
        "screen_ns": 1e9 * screen_s / values / members,
        "merge_ns": 1e9 * merge_s / values / members,
        "close_ns": 1e9 * (whole["cpu_s"] - screen_s - merge_s) / values,
        "tensors_held": whole["peak_mb"] / (4e-6 * layout.entries[0].spec.size),
    }


def unmoved_side(folder: Path, layout: Layout, members: int) -> dict[str, float]:  # noqa: ARG001
    """What the next base takes of a core where a round moves nothing of it, in nanoseconds."""
    specs = [entry.spec for entry in layout]
    ones = np.ones(specs[0].shape, np.float32)
    digest = write_tensors(folder / "base", specs, (ones for _ in specs), durable=False)
    with (folder / "step").open("wb") as stream:
        PayloadWriter(stream, Layout(()), UpdateIdentity(DIGEST, 0, digest, None)).finish()
    spent_s = float("inf")
    for _ in range(TRIES):
        start_s = time.process_time()
        step = UpdateFile(folder / "step", Layout(()))
        apply_step(TensorFile(folder / "base"), step, folder / "new")
        spent_s = min(spent_s, time.process_time() - start_s)
    return {"unmoved_ns": 1e9 * spent_s / sum(spec.size for spec in specs)}


SIDES = {"merge": merge_side, "round": round_side, "costs": costs_side, "unmoved": unmoved_side}


def apart(*arguments: str) -> dict[str, Any]:
    """Run a script in a process of its own, and read the JSON of its last line."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(
            f"{' '.join(arguments)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def side(name: str, folder: Path, size: list[str]) -> dict[str, Any]:
    return apart(str(Path(__file__)), "--side", name, "--folder", str(folder), *size)


def row(name: str, work: float, found: dict[str, Any], model_mb: float) -> str:
    mapped = f"{found['mapped_mb']:,.0f}" if "mapped_mb" in found else "–"
    return (
        f"| {name} | {found['cpu_s']:.2f} | {work / found['cpu_s']:.2e} | {found['peak_mb']:,.0f}"
        f" | {found['peak_mb'] / model_mb:.2f} | {mapped} |"
    )


def compare(options: argparse.Namespace) -> None:
    parameters, members = options.parameters, options.members
    size = ["--parameters", str(parameters), "--tensors", str(options.tensors)]
    work, model_mb = float(parameters * members), 4e-6 * parameters
    flare = [str(HERE / "flare_fedavg.py"), *size, "--members", str(members)]
    print(f"{parameters:,} parameters in {options.tensors} tensors, {members} members")
    print("| what | CPU s | parameters x members / s | peak MB | ÷ model | mapped MB |")
    print("|---|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        for number in sorted({4, members, 16}):
            write_updates(folder, layout_of(parameters, options.tensors, "int4"), number)
            counted = [*size, "--members", str(number)]
            for kind in ("merge", "round") if number == members else ("merge",):
                found = side(kind, folder, counted)
                print(row(f"{kind}, int4, {number} members", work * number / members,
                          found, model_mb), flush=True)  # fmt: skip
    print(row("FLARE, aggregator alone", work, apart(*flare, "--alone"), model_mb), flush=True)
    if options.no_job:
        return
    rounds = apart(*flare, "--rounds", "3")["rounds"][1:]
    best = min(rounds, key=lambda one: float(one["cpu_s"]))
    best["peak_mb"] = max(one["peak_mb"] - one["before_mb"] for one in rounds)
    print(row("FLARE, FedAvg job, the server's share", work, best, model_mb), flush=True)


def costs(options: argparse.Namespace) -> None:
    """One core's time by codec, up and down alike but for sparse."""
    print("| codec | screen, ns | merge, ns | close, ns | largest tensors held |")
    print("|---|--:|--:|--:|--:|")
    size = ["--parameters", str(options.parameters), "--tensors", str(options.tensors)]
    for codec in ("fp32", "bf16", "int8", "int4", "sparse"):
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            layout = layout_of(options.parameters, options.tensors, codec)
            write_updates(Path(name), layout, options.members)
            counted = [*size, "--members", str(options.members), "--codec", codec]
            found = side("costs", Path(name), counted)
        kinds = ("screen_ns", "merge_ns", "close_ns", "tensors_held")
        print(f"| {codec} |", " | ".join(f"{found[k]:.1f}" for k in kinds), "|", flush=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        found = side("unmoved", Path(name), size)
    print(f"a parameter that is not moved: {found['unmoved_ns']:.1f} ns")


def large(options: argparse.Namespace) -> None:
    """774 M float32 parameters of 6 members, beside a copy of the same bytes."""
    parameters, members = 774_000_000 // (48 * COLUMNS) * 48 * COLUMNS, 6
    layout = layout_of(parameters, 48, "fp32")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write_updates(folder, layout, members)
        paths = sorted(folder.glob("*.update"))
        copied = sum(path.stat().st_size for path in paths)
        start_s = time.monotonic()
        for path in paths:
            shutil.copyfile(path, folder / "copy")
            with (folder / "copy").open("rb") as stream:
                os.fsync(stream.fileno())
        copy_s = time.monotonic() - start_s
        (folder / "copy").unlink()
        size = ["--parameters", str(parameters), "--tensors", "48", "--members", str(members)]
        found = side("round", folder, [*size, "--codec", "fp32"])
    print(f"{parameters:,} parameters x {members}, fp32: {copied / 1e9:.1f} GB of updates")
    print(f"copy, read and written: {copy_s:.1f} s")
    print(f"round: {found['wall_s']:.1f} s by the clock, {found['cpu_s']:.1f} s of one core;"
          f" {found['wall_s'] / copy_s:.2f} x copy; peak {found['peak_mb']:,.0f} MB,"
          f" mapped {found['mapped_mb']:,.0f} MB")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parameters", type=int, default=1 << 25)
    parser.add_argument("--tensors", type=int, default=32)
    parser.add_argument("--members", type=int, default=6)
    parser.add_argument("--codec", default="int4")
    parser.add_argument("--folder", type=Path, help="where there is room")
    parser.add_argument("--side", choices=SIDES, help="one side, in this process")
    parser.add_argument("--costs", action="store_true", help="one core's time by codec")
    parser.add_argument("--no-job", action="store_true", help="leave FLARE's job out")
    parser.add_argument(
        "--large", action="store_true", help="774 M x 6 in fp32; needs 32 GB of disk"
    )
    options = parser.parse_args()
    if options.side:
        layout = layout_of(options.parameters, options.tensors, options.codec)
        print(json.dumps(SIDES[options.side](options.folder, layout, options.members)))
    elif options.large:
        large(options)
    elif options.costs:
        costs(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()

"""Codecs and merging on one core: bytes per parameter, encoding, decoding, merging, memory.

    python benchmarks/update_codecs.py [--parameters 16777216] [--members 6] [--markdown]

Values are normal with one scale per row of 1,024, so that blocks differ as those of a network do.
Places of large values are then clustered; `sparse (uniform)` has them spread evenly, the worst
case for its gaps.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from concord.base.digest import digest_bytes
from concord.base.tensors import FloatArray, TensorFile, TensorSpec, write_tensors
from concord.update.codecs import CODECS
from concord.update.combine import RoundPaths, apply_step, combine_round
from concord.update.layout import Entry, Layout, Role
from concord.update.merge import Accepted, Merge, MergeOptions
from concord.update.outer import OuterRule
from concord.update.payload import UpdateFile, UpdateIdentity, encode_update
from concord.update.stack import measure

ROW = 1024
DIGEST = digest_bytes(b"benchmark")


def seconds(action: Callable[[], object], *, repeats: int = 3) -> float:
    """Least processor time of a few tries, so that other work on the machine does not count."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        action()
        best = min(best, time.process_time() - start)
    return best


def sample(size: int, *, even: bool = False) -> FloatArray:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((size // ROW, ROW), np.float32) * np.float32(1e-3)
    if not even:
        values *= np.exp(rng.standard_normal((size // ROW, 1), np.float32))
    return values.reshape(-1)


def table(title: str, columns: list[str], rows: list[list[str]], *, markdown: bool) -> None:
    print(f"\n{title}\n")
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    lines = [columns, ["-" * width for width in widths], *rows] if markdown else [columns, *rows]
    for row in lines:
        cells = [
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("| " + " | ".join(cells) + " |" if markdown else "  ".join(cells))


def codec_rows(size: int) -> list[list[str]]:
    rows = []
    for name, even in [*((name, False) for name in CODECS), ("sparse", True)]:
        values = sample(size, even=even)
        if name.startswith("log"):
            values = values * values
        codec = CODECS[name]
        data = codec.encode(values)
        encode_s = seconds(lambda codec=codec, values=values: codec.encode(values))
        decode_s = seconds(
            lambda codec=codec, data=data, size=size: [
                None for _ in codec.windows(memoryview(data), size)
            ]
        )
        decoded = codec.decode(data, size).astype(np.float64)
        error = np.sqrt(np.mean((decoded - values) ** 2) / np.mean(values.astype(np.float64) ** 2))
        rows.append(
            [
                f"{name} (uniform)" if even else name,
                f"{len(data) / size:.5f}",
                f"{4 * size / len(data):.2f}",
                f"{4e-9 * size / encode_s:.2f}",
                f"{4e-9 * size / decode_s:.2f}",
                f"{error:.2%}",
            ]
        )
    return rows


def layout_of(size: int, codec: str) -> Layout:
    """Four tensors, as a stand-in for a network."""
    shape = (size // ROW // 4, ROW)
    return Layout(
        tuple(Entry(TensorSpec(f"layer.{n}.weight", shape), Role.BODY, codec) for n in range(4))
    )


def accepted_updates(folder: Path, layout: Layout, members: int) -> list[Accepted]:
    accepted = []
    values = sample(layout.entries[0].spec.size).reshape(layout.entries[0].spec.shape)
    for number in range(members):
        path = folder / f"{number}.update"
        identity = UpdateIdentity(DIGEST, 0, DIGEST, f"m{number:02}")
        encode_update(path, layout, identity, dict.fromkeys(layout.by_name, values))
        update = UpdateFile(path, layout)
        norms = measure(update)
        accepted.append(Accepted(f"m{number:02}", update, Fraction(1, members), norms))
    return accepted


def merge_rows(size: int, members: int, folder: Path) -> list[list[str]]:
    rows = []
    for codec, rule in [("fp32", "mean"), ("int8", "mean"), ("int4", "mean"), ("int4", "rda"),
                        ("sparse", "mean")]:  # fmt: skip
        layout = layout_of(size, codec)
        accepted = accepted_updates(folder, layout, members)
        screen_s = seconds(lambda accepted=accepted: measure(accepted[0].update))
        merge = Merge(accepted, MergeOptions(rule=rule))
        merge_s = seconds(
            lambda merge=merge, layout=layout: [
                merge.tensor(entry.name) is None for entry in layout
            ]
        )
        rows.append(
            [f"{codec}, {rule}", f"{size * members / merge_s:.2e}", f"{size / screen_s:.2e}"]
        )
    return rows


def round_rows(size: int, members: int, folder: Path) -> list[list[str]]:
    """A whole round with files: screen, merge, outer step, encode, new base, as it happens."""
    layout = layout_of(size, "int4")
    specs = [entry.spec for entry in layout]
    write_tensors(folder / "base", specs, (np.zeros(s.shape, np.float32) for s in specs))
    base = TensorFile(folder / "base")
    paths = RoundPaths(folder / "step", folder / "new", folder / "outer")
    identity = UpdateIdentity(DIGEST, 0, DIGEST, None)
    rows = []
    for momentum in (0.0, 0.9):
        accepted = accepted_updates(folder, layout, members)

        def one_round(momentum: float = momentum, accepted: list[Accepted] = accepted) -> None:
            combine_round(
                base=base,
                outer_state=None,
                accepted=accepted,
                options=MergeOptions(),
                outer=OuterRule(momentum=momentum),
                rate=lambda _: 1.0,
                step_layout=layout,
                identity=identity,
                paths=paths,
            )

        round_s = seconds(one_round)
        rows.append([f"combine_round, momentum {momentum}", f"{round_s:.2f}",
                     f"{size * members / round_s:.2e}"])  # fmt: skip
    step = UpdateFile(folder / "step", layout, identity)
    apply_s = seconds(lambda: apply_step(base, step, folder / "mine"))
    rows.append(["apply_step (a member)", f"{apply_s:.2f}", f"{size / apply_s:.2e}"])
    return rows


def memory_rows(size: int, folder: Path) -> list[list[str]]:
    rows = []
    for members in (4, 16):
        layout = layout_of(size, "int4")
        merge = Merge(accepted_updates(folder, layout, members), MergeOptions())
        tracemalloc.start()
        for entry in layout:
            merge.tensor(entry.name)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows.append([f"{members} members", f"{peak / 4 / layout.entries[0].spec.size:.2f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parameters", type=int, default=1 << 24)
    parser.add_argument("--members", type=int, default=6)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    size = options.parameters // (4 * ROW) * 4 * ROW
    print(f"{size:,} parameters, {options.members} members, one thread, numpy {np.__version__}")

    def show(title: str, columns: list[str], rows: list[list[str]]) -> None:
        table(title, columns, rows, markdown=options.markdown)

    head = ["codec", "B/parameter", "fp32/codec", "encode GB/s", "decode GB/s", "rms error"]
    show("Codecs (GB/s of fp32)", head, codec_rows(size))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        head = ["merge", "parameters x members/s", "screened parameters/s"]
        show("Decode and merge", head, merge_rows(size, options.members, folder))
        head = ["round, int4 both ways", "CPU s", "parameters x members/s"]
        show("With files and digests", head, round_rows(size, options.members, folder))
        head = ["merge, int4", "peak memory, tensors"]
        show("Memory of the merge beyond the mapped updates", head, memory_rows(size, folder))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nhighest resident memory of this process: {peak_mb:,.0f} MB")


if __name__ == "__main__":
    main()

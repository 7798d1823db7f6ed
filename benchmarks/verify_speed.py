"""How fast a verifier goes through a round on one core: parameters x members per second.

    python benchmarks/verify_speed.py [--members 6] [--repeats 7] [--against OTHER/src]

A round of a network of 20 million parameters, int4 up and down, with the row means of the second
moment that members share by default. Processor seconds, the median of some repeats: digest and
screening of every update, merge, outer step, its encoding, decoding, the next base and its digest.
`--against` runs the same round with the code of another checkout in turns, so that both meet the
same load, and says whether both came to the same bits.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from concord.base.digest import Digest
from concord.base.objects import ObjectStore
from concord.base.tensors import TensorSpec, write_tensors
from concord.charter.run import RunDocument, parse_run
from concord.ledger.arithmetic import RoundInputs, merge_round, round_weights, screen_update
from concord.ledger.layouts import update_layout
from concord.ledger.replay import Replayer
from concord.update.combine import RoundPaths
from concord.update.layout import Layout
from concord.update.payload import UpdateIdentity, encode_update
from concord.update.screening import NormHistory

SETTINGS: dict[str, dict[str, object]] = {
    "int4": {},
    "int4, momentum": {"outer": {"momentum": 0.9}},
    "int4, RDA": {"merge": "rda"},
    "int8": {"codec": "int8", "down_codec": "int8"},
    "fp32 up, int4 down": {"codec": "fp32"},
}
SIZES = {"20M": (16384, 512, 4), "demo": (2304, 96, 3)}
"""Rows of the vocabulary, width, layers."""


def network(size: str) -> list[TensorSpec]:
    """Names and shapes of a network, and one mean per row of the second moment."""
    rows, hidden, layers = SIZES[size]
    shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (rows, hidden)}
    shapes["norm.weight"] = (hidden,)
    for layer in range(layers):
        at = f"layers.{layer}"
        for name in ("q_proj", "o_proj"):
            shapes[f"{at}.self_attn.{name}.weight"] = (hidden, hidden)
        for name in ("k_proj", "v_proj"):
            shapes[f"{at}.self_attn.{name}.weight"] = (hidden // 2, hidden)
        for name in ("gate_proj", "up_proj", "down_proj"):
            shapes[f"{at}.mlp.{name}.weight"] = (hidden * 11 // 4, hidden)
        for name in ("q_norm", "k_norm"):
            shapes[f"{at}.self_attn.{name}.weight"] = (hidden // 8,)
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{at}.{name}.weight"] = (hidden,)
    state = {f"second_moment/{name}": shape[:1] for name, shape in shapes.items()}
    return sorted(TensorSpec(name, shape) for name, shape in (shapes | state).items())


def document(members: int, update: dict[str, object]) -> RunDocument:
    roster = [{"id": f"m{number:02}"} for number in range(members)]
    return parse_run({"name": "bench", "roster": roster, "update": update})


class Federation:
    """A first base and one round's updates among the objects of a temporary folder."""

    def __init__(self, folder: Path, run: RunDocument, size: str) -> None:
        self.folder, self.run = folder, run
        self.objects = ObjectStore(folder / "objects")
        rng = np.random.default_rng(0)
        specs = network(size)
        path = folder / "first"
        arrays = (np.abs(rng.standard_normal(s.shape, np.float32)) for s in specs)
        self.base = write_tensors(path, specs, arrays)
        self.objects.adopt(path, self.base)
        layout = update_layout(run, specs, 0)
        self.updates = {m: self._update(m, layout, rng) for m in run.member_ids}

    def _update(self, member: str, layout: Layout, rng: np.random.Generator) -> Digest:
        def array(name: str) -> np.ndarray:
            entry = layout.by_name[name]
            values = rng.standard_normal(entry.spec.shape, np.float32) * np.float32(1e-3)
            if not entry.is_weight:
                return np.abs(values)
            scales = rng.standard_normal((*entry.spec.shape[:1], *[1] * (values.ndim - 1)))
            return values * np.exp(scales.astype(np.float32))

        path = self.folder / member
        identity = UpdateIdentity(self.run.digest, 0, self.base, member)
        summary, _ = encode_update(path, layout, identity, array)
        self.objects.adopt(path, summary.digest)
        return summary.digest

    def inputs(self) -> RoundInputs:
        path = self.objects.path(self.base)
        return RoundInputs(self.run, 0, path, self.base, None, NormHistory())


class Stopwatch:
    """Processor seconds by name, one number for each repeat."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def take(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[name].append(time.process_time() - start)


def measure(setting: str, size: str, members: int, repeats: int) -> dict[str, object]:
    """Seconds of a whole replayed round and of its parts, and what it came to."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        federation = Federation(folder, document(members, SETTINGS[setting]), size)
        weights = round_weights(federation.run, federation.updates.keys())
        paths = RoundPaths(folder / "step", folder / "base", folder / "outer")
        for _ in range(repeats):
            inputs = federation.inputs()
            screened = {}
            with watch.take("screening"):
                for member, digest in federation.updates.items():
                    path = federation.objects.path(digest)
                    screened[member] = screen_update(inputs, member, path, accepted=())
            with watch.take("merge to base"):
                made = merge_round(inputs, screened, weights, paths)
            replayer = Replayer(federation.run, federation.objects, folder)
            replayer.start(federation.base)
            began_s = time.monotonic()
            with watch.take("round"):
                replayer.round(
                    federation.updates,
                    weights,
                    base=made.base,
                    step=made.step.digest,
                    outer_state=made.outer_state,
                )
            watch.seconds["wall"].append(time.monotonic() - began_s)
    parameters = sum(spec.size for spec in network(size))
    return {"size": parameters, "seconds": watch.seconds, "bits": [made.base, made.outer_state]}


def child(source: Path, setting: str, size: str, members: int) -> dict[str, object]:
    """One repeat in a process of its own, with the code of a checkout."""
    command = [
        sys.executable,
        __file__,
        "--child",
        setting,
        "--members",
        str(members),
        "--size",
        size,
    ]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def compare(sources: dict[str, Path], members: int, repeats: int, setting: str, size: str) -> None:
    found: dict[str, list[dict]] = {name: [] for name in sources}
    for _ in range(repeats):
        for name, source in sources.items():
            found[name].append(child(source, setting, size, members))
    for name, results in found.items():
        taken = [one["seconds"] for one in results]
        row(f"{setting} ({name})", results[0]["size"] * members,
            {key: statistics.median(t[key][-1] for t in taken) for key in taken[0]})  # fmt: skip
    bits = {json.dumps(one["bits"]) for results in found.values() for one in results}
    print(f"  same bits: {'yes' if len(bits) == 1 else 'NO'}")


def row(name: str, work: int, seconds: dict[str, float]) -> None:
    parts = ", ".join(f"{key} {value:.3f} s" for key, value in seconds.items())
    print(f"{name:28} {work / seconds['round']:.2e} parameters x members/s   ({parts})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--size", choices=SIZES, default="20M")
    parser.add_argument("--only", choices=SETTINGS, action="append")
    parser.add_argument("--against", type=Path, help="src folder of another checkout")
    parser.add_argument("--child", choices=SETTINGS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child, options.size, options.members, 2)))
        return
    for setting in options.only or SETTINGS:
        if options.against is not None:
            mine = Path(__file__).resolve().parents[1] / "src"
            sources = {"other": options.against.resolve(), "this": mine}
            compare(sources, options.members, options.repeats, setting, options.size)
            continue
        result = measure(setting, options.size, options.members, options.repeats)
        medians = {key: statistics.median(all_) for key, all_ in result["seconds"].items()}
        row(setting, result["size"] * options.members, medians)


if __name__ == "__main__":
    main()

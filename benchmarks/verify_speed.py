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
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from concord.base.digest import Digest
from concord.base.objects import ObjectStore
from concord.base.tensors import TensorSpec, write_tensors
from concord.charter.run import RunDocument, parse_run
from concord.ledger.arithmetic import (
    RoundInputs,
    merge_round,
    next_history,
    round_weights,
    screen_update,
)
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
    state = {f"second_moment/rows/{name}": shape[:1] for name, shape in shapes.items()
             if name.startswith("embed") or len(shape) == 1}  # fmt: skip
    return sorted(TensorSpec(name, shape) for name, shape in (shapes | state).items())


def document(members: int, update: dict[str, object]) -> RunDocument:
    roster = [{"id": f"m{number:02}"} for number in range(members)]
    return parse_run({"name": "bench", "roster": roster, "update": update})


@dataclass(frozen=True)
class Claim:
    """What a record would say of a round."""

    updates: dict[str, Digest]
    weights: dict[str, Fraction]
    base: Digest
    step: Digest
    outer_state: Digest | None


class Federation:
    """A coordinator that merges made-up updates."""

    def __init__(self, folder: Path, run: RunDocument, size: str) -> None:
        self.folder, self.run = folder, run
        self.objects = ObjectStore(folder / "objects")
        self.rng = np.random.default_rng(0)
        specs = network(size)
        path = folder / "first"
        arrays = (np.abs(self.rng.standard_normal(s.shape, np.float32)) for s in specs)
        self.first_base = write_tensors(path, specs, arrays)
        self.objects.adopt(path, self.first_base)
        self.inputs = RoundInputs(
            run, 0, self.objects.path(self.first_base), self.first_base, None, NormHistory()
        )

    def play(self) -> Claim:
        """One round: updates among the objects, merged."""
        inputs = self.inputs
        updates = {m: self._update(m, inputs.update_layout) for m in self.run.member_ids}
        screened = {}
        for member, digest in updates.items():
            path = self.objects.path(digest)
            screened[member] = screen_update(inputs, member, path, accepted=())
        weights = round_weights(self.run, updates.keys())
        paths = RoundPaths(*(self.folder / name for name in ("step", "base", "outer")))
        made = merge_round(inputs, screened, weights, paths)
        self.inputs = RoundInputs(
            run=self.run,
            round=inputs.round + 1,
            base=self.objects.adopt(paths.base, made.base),
            base_digest=made.base,
            outer_state=made.outer_state
            and self.objects.adopt(paths.outer_state, made.outer_state),
            norm_history=next_history(inputs, screened),
        )
        return Claim(updates, weights, made.base, made.step.digest, made.outer_state)

    def _update(self, member: str, layout: Layout) -> Digest:
        def array(name: str) -> np.ndarray:
            entry = layout.by_name[name]
            values = self.rng.standard_normal(entry.spec.shape, np.float32) * np.float32(1e-3)
            if not entry.is_weight:
                return np.abs(values)
            rows = (*entry.spec.shape[:1], *[1] * (values.ndim - 1))
            return values * np.exp(self.rng.standard_normal(rows, np.float32))

        path = self.folder / member
        inputs = self.inputs
        identity = UpdateIdentity(self.run.digest, inputs.round, inputs.base_digest, member)
        summary, _ = encode_update(path, layout, identity, array)
        self.objects.adopt(path, summary.digest)
        return summary.digest


class Stopwatch:
    """Processor seconds of the parts of a round, cut where the replay says what comes next."""

    def __init__(self) -> None:
        self.marks: list[tuple[str, float]] = []

    def mark(self, _round: int, what: str) -> None:
        self.marks.append((what, time.process_time()))

    def parts(self) -> dict[str, float]:
        begin = self.marks[0][1]
        merge = next(at for what, at in self.marks if what == "merge")
        return {"updates": merge - begin, "merge to base": self.marks[-1][1] - merge}


def measure(setting: str, size: str, members: int, repeats: int) -> dict[str, object]:
    """Seconds of the second round, which has an outer state to read, and what it came to."""
    seconds = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        federation = Federation(folder, document(members, SETTINGS[setting]), size)
        first, second = federation.play(), federation.play()
        for _ in range(repeats):
            watch = Stopwatch()
            replayer = Replayer(federation.run, federation.objects, folder, progress=watch.mark)
            replayer.start(federation.first_base)
            replay(replayer, first)
            watch.marks.clear()
            began_s = time.monotonic()
            replay(replayer, second)
            watch.mark(2, "end")
            for part, taken in watch.parts().items():
                seconds[part].append(taken)
            seconds["wall"].append(time.monotonic() - began_s)
    parameters = sum(spec.size for spec in network(size))
    return {"size": parameters, "seconds": seconds, "bits": [second.base, second.outer_state]}


def replay(replayer: Replayer, claim: Claim) -> None:
    replayer.round(
        claim.updates,
        claim.weights,
        base=claim.base,
        step=claim.step,
        outer_state=claim.outer_state,
    )


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
    speed = work / (seconds["updates"] + seconds["merge to base"])
    print(f"{name:28} {speed:.2e} parameters x members/s   ({parts})")


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

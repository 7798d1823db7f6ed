"""A sealed run beside an open one: what it costs in quality, per language, and in time per round.

    make bench-sealed-run CORPORA=<folder>

Quality: the same members, text, tokenizer, first base, seed and number of rounds; open with int8
updates, sealed with `ring16`. Members and merging are the product's, in one process; the sealed arm
adds up the very integers that members would mask, without the masks, which cancel exactly
(`tests/ledger/test_verify_sealed.py`).

Times of rounds are measured by `sealed_run_time.py`; both write into one page.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ablation
import numpy as np
import torch
from ablation import Laboratory
from sealed_run_page import page

from concord.base.digest import digest_bytes
from concord.base.files import write_atomic
from concord.base.tensors import FloatArray, TensorFile
from concord.charter.run import RunDocument
from concord.charter.schedule import inner_steps
from concord.crypto.seal.masks import Keystream
from concord.federation.evidence import machine
from concord.federation.member.sealing import covered_rows
from concord.federation.parallel import read_parallel
from concord.federation.sealed.merging import next_inputs
from concord.federation.sealed.part import Seal
from concord.federation.sealed.pen import Masked
from concord.federation.simulation import Simulation
from concord.federation.work import Train
from concord.ledger.arithmetic import sealed_weights
from concord.ledger.layouts import parameter_count
from concord.ledger.round_record import Contribution, RoundRecord
from concord.ledger.sealed.coverage import Coverage
from concord.ledger.sealed.rounds import SealedInputs, merge_sealed
from concord.ledger.sealed.tables import clips_of, norm_limits
from concord.ledger.sealed.values import quantised, weighing
from concord.model.tokenizer import Tokenizer
from concord.update.combine import RoundPaths

SIZES = {"model.hidden": 64, "model.layers": 2, "tokenizer.merges": 1500}
OPEN = {"open": "int8", "control": "bf16"}
"""`control` differs from `open` by less than sealing does: how far apart two like runs come out."""
SEALED: dict[str, Any] = {"update.codec": "ring16", "seal": {}}
ARMS = ("open", "control", "sealed", "left_out", "local_state")


class SealedSimulation(Simulation):
    """Sealed rounds without masks."""

    coverage = Coverage(b"")

    def train(self, **_: Any) -> RoundRecord:
        """Everybody trains and quantises; sums are merged as a coordinator merges them."""
        before = self.state.current.digest
        sealed = next_inputs(self.state, len(self.members), self.coverage)
        plan = Train(
            run=self.run.digest,
            round=self.state.committed,
            base=before,
            inner_steps=inner_steps(self.run.rounds, self.state.committed),
        )
        total, headers = np.zeros(sealed.table.count - 64, np.int64), {}
        for name, member in self.members.items():
            taken: list[Any] = []
            done = member.train_sealed(
                plan,
                self._sealer(sealed, name, taken),
                interrupted=lambda: False,
                on_progress=lambda *_: None,
            )
            assert isinstance(done, tuple)
            headers[name] = done[0]
            total += taken[0][:-64]
        record = self._committed(sealed, total.astype(sealed.table.ring.signed), headers)
        self._apply(record, before)
        return record

    def _sealer(self, sealed: SealedInputs, name: str, taken: list[Any]) -> Seal:
        """Takes a member's integers; the digest stands for a file that is not written."""

        def seal(tensors: Mapping[str, FloatArray]) -> Masked:
            taken.append(self._integers(sealed, name, tensors))
            named = f"{sealed.inputs.round} {name}".encode()
            return Masked(Path(), digest_bytes(named), 1, "")

        return seal

    def _integers(self, sealed: SealedInputs, name: str, tensors: Mapping[str, FloatArray]) -> Any:
        layout = sealed.inputs.update_layout
        clips = clips_of(sealed.table, layout.entries)
        return quantised(
            tensors,
            layout,
            sealed.table,
            self.coverage,
            limits=norm_limits(self.run, layout, sealed.inputs.round, clips),
            share=weighing(self.run).share(name),
            random=Keystream(os.urandom(32)).read,
        )

    def _committed(
        self, sealed: SealedInputs, total: Any, headers: Mapping[str, Any]
    ) -> RoundRecord:
        weights = sealed_weights(self.run, list(headers))
        root, objects = self.state.folder.root, self.state.folder.objects
        paths = RoundPaths(step=root / "step", base=root / "base", outer_state=root / "outer")
        made, clips = merge_sealed(sealed, [total], weights, paths)
        objects.adopt(paths.step, made.step.digest)
        objects.adopt(paths.base, made.base)
        record = RoundRecord(
            run=self.run.digest,
            round=self.state.committed + 1,
            previous=None,
            base=made.base,
            step=made.step.digest,
            contributions={
                name: Contribution(
                    update=one.payload_digest,
                    weight=weights[name],
                    steps=one.steps,
                    tokens=one.tokens,
                    flops=one.flops,
                    train_s=one.train_s,
                    mean_loss=None,
                    norm=None,
                    payload_bytes=64 + sealed.table.count * sealed.table.ring.bytes,
                )
                for name, one in headers.items()
            },
            next_scales={name: clip.hex() for name, clip in clips.items()},
        )
        return self.state.advance(record)


class Bench(Laboratory):
    """The text and tokenizer of a comparison, and its arms."""

    def arm(self, name: str, seed: int) -> dict[str, Any]:
        """Train an arm, and measure it on every member's held-out text."""
        self._arguments.seed = seed
        run = self.run(self._changes(name))
        texts = self._texts("own", run)
        with tempfile.TemporaryDirectory(dir=self._work) as folder:
            kind = Simulation if run.mode == "open" else SealedSimulation
            simulation = kind(run, texts, Path(folder))
            left_out = 0
            if isinstance(simulation, SealedSimulation):
                simulation.coverage = self._coverage(run)
                left_out = int(simulation.coverage.rows.sum())
            records = [simulation.train() for _ in range(run.rounds.count)]
            sums = simulation.evaluate()
            parameters = parameter_count(TensorFile(simulation.state.current.path).specs)
        sent = next(iter(records[-1].contributions.values())).payload_bytes
        return {
            "arm": name,
            "seed": seed,
            "members": {m: one.bits_per_byte for m, one in sums.items()},
            "rounds": run.rounds.count,
            "parameters": parameters,
            "vocabulary": next(iter(texts.values())).tokenizer.size,
            "left_out": left_out,
            "bytes_up_per_parameter": sent / parameters,
        }

    def _changes(self, name: str) -> dict[str, Any]:
        if name in OPEN:
            return {"update.codec": OPEN[name]}
        languages = {code: 1 for one in self._roster for code in one["languages"]}
        named = {} if name == "left_out" else {"seal": {"lone_languages": languages}}
        state = {"inner.state.mode": "local"} if name == "local_state" else {}
        return {**SEALED, **named, **state}

    def _coverage(self, run: RunDocument) -> Coverage:
        named = sorted({code for one in self._roster for code in one["languages"]})
        lines = read_parallel(self._arguments.corpora / "parallel", named)
        both = {code: [*lines.learn[code], *lines.measure[code]] for code in named}
        return covered_rows(run, Tokenizer.from_json(self._tokenizer.read_text("utf-8")), both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--work", type=Path, default=Path("bench-work/sealed"))
    parser.add_argument("--members", nargs="+", default=list(ablation.MEMBERS))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    arguments = parser.parse_args()
    arguments.seed = arguments.seeds[0]
    torch.set_num_threads(1)
    ablation.BASE |= SIZES
    ablation.REFERENCE.clear()  # the run document's own rates
    path = arguments.out / "sealed-run.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {"arms": []}
    bench = Bench(arguments)
    done = {(row["arm"], row["seed"]) for row in found["arms"]}
    for seed in arguments.seeds:
        for name in arguments.arms:
            if (name, seed) not in done:
                row = bench.arm(name, seed)
                found["arms"].append({**row, "date": datetime.now(UTC).date().isoformat()})
                found["machine"] = machine()
                write_atomic(path, json.dumps(found, indent=1).encode() + b"\n")
                print(name, seed, {m: round(v, 4) for m, v in row["members"].items()}, flush=True)
    draw(path)


def draw(path: Path) -> None:
    """Write the page beside the numbers; what people wrote below them stays."""
    target = path.with_suffix(".md")
    before = target.read_text("utf-8") if target.exists() else ""
    reading = "".join(before.partition("\n## Reading\n")[1:])
    write_atomic(target, page(json.loads(path.read_text("utf-8")), reading).encode())


if __name__ == "__main__":
    main()

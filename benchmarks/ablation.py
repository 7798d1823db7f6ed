"""What matters in a federation, and by how much: one change at a time against a reference.

    make bench-ablation CORPORA=<folder>

or, for some rows,

    taskset -c 0 python benchmarks/ablation.py --corpora <folder> --only reference "H = 5"

The folder holds `train/<member>.jsonl.gz`, `heldout/<member>.jsonl.gz` and `parallel/`, as for
`benchmarks/tokenizer.py`. Federations are simulated in one process with the product's own members
and merging (`concord.federation.simulation`); pooled arms are those of `concord run --compare`.

A row is written to ablation.json as soon as it is measured, and ablation.md is drawn from that
file: the script can be stopped at any time, and goes on with the rows that are missing.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import log
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from ablation_page import page
from ablation_variants import ARMS, BASE, REFERENCE, Arm

from concord.base.digest import digest_bytes, digest_json
from concord.base.files import write_atomic
from concord.base.tensors import FloatArray, TensorFile
from concord.charter.run import RunDocument, parse_run
from concord.charter.schedule import total_steps
from concord.data.bpe import MergeSession
from concord.federation.comparison.arms import run_arm
from concord.federation.comparison.outcome import ArmJob
from concord.federation.folders import FederationFolder
from concord.federation.member.text import MemberText
from concord.federation.parallel import read_parallel
from concord.federation.simulation import Simulation
from concord.ledger.layouts import parameter_count

MEMBERS = (
    "ethiopia=amh_Ethi",
    "thailand=tha_Thai",
    "brazil=por_Latn",
    "nigeria=ibo_Latn",
    "greece=ell_Grek",
    "kerala=mal_Mlym",
)
NAME = "ablation"
TRAIN_BYTES = 1_500_000
HELDOUT_BYTES = 60_000
SCORED_BYTES = 40_000
SHUFFLE_SEED = 17


def main() -> None:
    arguments = parsed_arguments()
    torch.set_num_threads(1)
    lab = Laboratory(arguments)
    path = arguments.out / "ablation.json"
    results = json.loads(path.read_text("utf-8")) if path.exists() else {"rows": {}}
    results["setting"] = lab.setting
    wanted = arguments.only or [arm.name for arm in ARMS]
    for arm in ARMS:
        if arm.name not in wanted or (arm.name in results["rows"] and not arguments.again):
            continue
        began_s = time.process_time()
        row = lab.measure(arm)
        row["cpu_s"] = round(time.process_time() - began_s, 1)
        row["date"] = datetime.now(UTC).date().isoformat()
        results["rows"][arm.name] = row
        write_atomic(path, json.dumps(results, indent=1, ensure_ascii=False).encode() + b"\n")
        draw(results, path.with_suffix(".md"))
        print(f"{arm.name}: {row['bits_per_byte']:.4f} bits per byte, {row['cpu_s']:.0f} CPU s")
    draw(results, path.with_suffix(".md"))


def draw(results: Mapping[str, Any], path: Path) -> None:
    earlier = path.read_text("utf-8") if path.exists() else ""
    write_atomic(path, page(results, earlier).encode())


def parsed_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--work", type=Path, default=Path("bench-work/ablation"))
    parser.add_argument("--members", nargs="+", default=list(MEMBERS), metavar="NAME=LANGUAGE")
    parser.add_argument("--steps", type=int, default=600, help="inner steps of each member")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="ROW", help="rows to measure, by name")
    parser.add_argument("--again", action="store_true", help="measure rows that are there already")
    return parser.parse_args(words)


class Laboratory:
    """The text, the tokenizer, and how an arm is measured on them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        languages = dict(text.split("=") for text in arguments.members)
        self._roster = [{"id": name, "languages": [code]} for name, code in languages.items()]
        digest = digest_json([arguments.members, TRAIN_BYTES, HELDOUT_BYTES, BASE])
        self._work = arguments.work / digest.removeprefix("sha256:")[:12]
        self._folders = {"own": self._work / "own", "shuffled": self._work / "shuffled"}
        self._tokenizer = self._work / "tokenizer.json"
        run = self.run({})
        write_federations(arguments.corpora, run.member_ids, self._folders)
        if not self._tokenizer.exists():
            home = FederationFolder(self._folders["own"])
            texts = {m: MemberText(home.member(m), run) for m in run.member_ids}
            for text in texts.values():
                text.prepare()
            learned = learn_tokenizer(run, texts, arguments.corpora / "parallel")
            write_atomic(self._tokenizer, learned.encode())
        self.setting = {
            "members": list(run.member_ids),
            "steps": arguments.steps,
            "seed": arguments.seed,
            "heldout_bytes": SCORED_BYTES,
            "sizes": BASE,
            "reference": run.model_dump(mode="json", include={"inner", "rounds", "update"}),
        }

    def run(self, changes: Mapping[str, Any]) -> RunDocument:
        """The run document of a row; keys of `changes` are paths such as `inner.state.mode`."""
        value: dict[str, Any] = {
            "name": NAME,
            "seed": self._arguments.seed,
            "roster": self._roster,
            "evaluation": {"every_rounds": 0, "max_bytes": SCORED_BYTES},
        }
        changes = {**BASE, **REFERENCE, **changes}
        changes.setdefault("rounds.count", self._arguments.steps // changes["rounds.inner_steps"])
        for path, one in changes.items():
            *sections, key = path.split(".")
            place = value
            for section in sections:
                place = place.setdefault(section, {})
            place[key] = one
        return parse_run(value)

    def measure(self, arm: Arm) -> dict[str, Any]:
        """Train an arm in a folder that is then thrown away, and describe it."""
        with tempfile.TemporaryDirectory(dir=self._work) as folder:
            measured = self._pooled if arm.kind == "pooled" else self._federated
            row = measured(arm, Path(folder))
        return {
            "kind": arm.kind,
            "group": arm.group,
            "changes": dict(arm.changes),
            "text": arm.text,
            "warm_steps": arm.warm_steps,
            **row,
        }

    def _federated(self, arm: Arm, folder: Path) -> dict[str, Any]:
        run, weights = self.run(arm.changes), None
        steps = total_steps(run.rounds)
        if arm.warm_steps:
            weights = self._warm_weights(arm, folder / "warm")
            left = (steps - arm.warm_steps) // run.rounds.inner_steps
            rest = {"rounds.count": left, "inner.warmup_steps": 10}
            run = self.run({**arm.changes, **rest})
        simulation = Simulation(run, self.texts(arm.text, run), folder, weights=weights)
        records = [simulation.train() for _ in range(run.rounds.count - 1)]
        own: dict[str, float] = {}
        records.append(
            simulation.train(
                on_trained=lambda m, one: own.update({m: one.measure_own().bits_per_byte})
            )
        )
        parameters = parameter_count(TensorFile(simulation.state.current.path).specs)
        sent = [one.payload_bytes for record in records for one in record.contributions.values()]
        found = {m: sums.bits_per_byte for m, sums in simulation.evaluate().items()}
        return {
            "bits_per_byte": fmean(found.values()),
            "members": found,
            "local_bits_per_byte": fmean(own.values()),
            "parameters": parameters,
            "bytes_up_per_parameter": fmean(sent) / parameters,
            "rounds": run.rounds.count,
            "steps": steps,
        }

    def _pooled(self, arm: Arm, folder: Path) -> dict[str, Any]:
        run = self.run(arm.changes)
        start = Simulation(run, self.texts(arm.text, run), folder / "start").state.current
        folder.joinpath("arm").mkdir()
        result = run_arm(
            ArmJob(
                federation=self._folders[arm.text],
                run=run,
                kind="pooled",
                member="",
                start=start.path,
                tokenizer=self._tokenizer,
                out=folder / "arm",
                key=start.digest,
            )
        )
        found = {m: bits_per_byte(sums.nats, sums.bytes) for m, sums in result.sums.items()}
        return {
            "bits_per_byte": fmean(found.values()),
            "members": found,
            "parameters": parameter_count(TensorFile(start.path).specs),
            "steps": result.steps,
        }

    def _warm_weights(self, arm: Arm, folder: Path) -> dict[str, FloatArray]:
        """Weights after some pooled steps at a constant rate, on samples of another seed."""
        changes = {
            **arm.changes,
            "seed": self._arguments.seed + 1,
            "rounds.count": 1,
            "rounds.inner_steps": arm.warm_steps,
            "inner.decay_share": 0.0,
        }
        self._pooled(replace(arm, changes=changes), folder)
        trained = TensorFile(folder / "arm" / "pooled.tensors")
        return {spec.name: array for spec, array in trained.items()}

    def texts(self, which: str, run: RunDocument) -> dict[str, MemberText]:
        """The members' text, encoded; encoding is done once per federation folder."""
        folder = FederationFolder(self._folders[which])
        data = self._tokenizer.read_bytes()
        texts = {}
        for member in run.member_ids:
            text = texts[member] = MemberText(folder.member(member), run)
            marker = folder.member(member).root / f"{digest_bytes(data)[-12:]}.encoded"
            if not marker.exists():
                text.prepare()
                text.use_tokenizer(data, digest_bytes(data))
                marker.touch()
            text.open(data)
        return texts


def bits_per_byte(nats: float, size: int) -> float:
    return nats / log(2) / size


def write_federations(corpora: Path, members: Sequence[str], folders: Mapping[str, Path]) -> None:
    """Write a part of the corpora, once with each member's own text, once shuffled over them."""
    if all(folder.exists() for folder in folders.values()):
        return
    lines = {m: sample(corpora / "train" / f"{m}.jsonl.gz", TRAIN_BYTES) for m in members}
    heldout = {m: sample(corpora / "heldout" / f"{m}.jsonl.gz", HELDOUT_BYTES) for m in members}
    everything = [line for member in members for line in lines[member]]
    random.Random(SHUFFLE_SEED).shuffle(everything)
    shuffled = {m: everything[number :: len(members)] for number, m in enumerate(members)}
    for which, folder in folders.items():
        for member in members:
            home = FederationFolder(folder).member(member)
            home.write(name=member, text=("train.jsonl",), heldout=("heldout.jsonl",))
            chosen = (lines if which == "own" else shuffled)[member]
            (home.root / "train.jsonl").write_text("".join(chosen), encoding="utf-8")
            (home.root / "heldout.jsonl").write_text("".join(heldout[member]), encoding="utf-8")


def sample(path: Path, max_bytes: int) -> list[str]:
    """Documents as lines of JSON, drawn by the hash of their text, up to so many bytes of text."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        texts = [json.loads(line)["text"] for line in stream]
    taken, size = [], 0
    for text in sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest()):
        taken.append(json.dumps({"text": text}, ensure_ascii=False) + "\n")
        size += len(text.encode())
        if size >= max_bytes:
            break
    return taken


def learn_tokenizer(run: RunDocument, texts: Mapping[str, MemberText], parallel: Path) -> str:
    """The run's tokenizer, by a session with the members, as before the first round of a run."""
    languages = {member.id: member.languages for member in run.roster}
    named = sorted({language for own in languages.values() for language in own})
    session = MergeSession(
        mode=run.tokenizer.mode,
        merges=run.tokenizer.merges,
        min_pair_count=run.tokenizer.min_pair_count,
        parallel=read_parallel(parallel, named).learn,
        member_languages=languages,
    )
    answers: dict[str, bytes] = {}
    while (request := session.next_request(answers)) is not None:
        answers = {member: text.answer_counts(request) for member, text in texts.items()}
    return session.tokenizer_json()


if __name__ == "__main__":
    main()

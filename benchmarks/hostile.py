"""Hostile members: what attacks do to each merge rule, and what each rule does to honest ones.

    make bench-hostile

Eight members of the almanac, each with a language and most with a script of its own, train a small
network together; one of them attacks in every round. Members and merging are the product's own
(`concord.federation.simulation`), attacks those of `concord.testing.attacks`. Measured is the loss
on the held-out text of the seven others, in bits per byte.

A row is written to hostile.json as soon as it is measured, and hostile.md is drawn from that file:
the script can be stopped at any time, and goes on with the rows that are missing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from hostile_page import page

from concord.base.digest import digest_bytes, digest_json
from concord.base.files import write_atomic
from concord.base.tensors import TensorFile
from concord.charter.run import RunDocument, parse_run
from concord.data.almanac import write_almanac
from concord.data.almanac.members import find_member
from concord.data.bpe import MergeSession
from concord.federation.folders import FederationFolder
from concord.federation.gating import Benefits, Gate, GateCase, probe_set
from concord.federation.member.text import MemberText
from concord.federation.parallel import read_parallel
from concord.federation.probing import NetworkProber
from concord.federation.simulation import Adversary, Simulation
from concord.ledger.layouts import parameter_count
from concord.testing import attacks

MEMBERS = (
    *("egypt", "ethiopia", "greece", "kenya"),
    *("nigeria", "tamil_nadu", "thailand", "ukraine"),
)
ATTACKER, VICTIM = "greece", "thailand"
TEXT_BYTES = 200_000
SIZES: dict[str, Any] = {
    "model": {
        "hidden": 32,
        "layers": 2,
        "heads": 2,
        "kv_heads": 2,
        "head_dim": 16,
        "intermediate": 64,
        "context": 64,
    },
    "tokenizer": {"mode": "ordinary", "merges": 500, "parallel": None, "sample_bytes": 100_000},
    "inner": {"batch_tokens": 256, "warmup_steps": 20},
    "rounds": {"count": 20, "inner_steps": 8},
    "evaluation": {"every_rounds": 0, "max_bytes": 10_000, "heldout_share": 0.1},
}
RULES: dict[str, dict[str, Any]] = {
    "mean": {},
    "mean, clipped (1.5)": {"norm_control": "clip_groups"},
    "mean, clipped (1.0)": {"norm_control": "clip_groups", "clip_ratio": 1.0},
    "rda, clipped (1.5)": {"merge": "rda", "norm_control": "clip_groups"},
    **{
        f"{rule}, clipped (1.5)": {"merge": rule, "norm_control": "clip_groups"}
        for rule in (
            *("centred_clipping", "geometric_median", "nnm_trimmed_mean", "multi_krum"),
            *("trimmed_mean", "coordinate_median", "krum"),
        )
    },
}
DEFAULT = "mean, clipped (1.5)"
GATED = "mean, clipped (1.5), probe gate"
RULES[GATED] = RULES[DEFAULT]
PLAIN = ("none", "flip x 4", "ALIE", "IPM", "erase")
"""Attacks that every rule is tried with; the rule by default is tried with all."""


def adversaries(seed: int) -> dict[str, Adversary]:
    """All attacks by name. Without one, what screening refuses is left out and counted too."""

    def arrays(attack: attacks.Attack, *, state: bool = False) -> Adversary:
        return attacks.Attacker(ATTACKER, attack, seed=seed, state=state)

    return {
        "none": lambda _state, sent: sent,
        "NaN": attacks.not_finite(ATTACKER),
        "scale 1e6": arrays(attacks.scaled(1e6)),
        "scale 1e6, state too": arrays(attacks.scaled(1e6), state=True),
        "sign flip": arrays(attacks.scaled(-1)),
        "flip x 4": arrays(attacks.scaled(-4)),
        "flip x 100": arrays(attacks.scaled(-100)),
        "stale base": attacks.Stale(ATTACKER, renamed=False),
        "stale base, renamed": attacks.Stale(ATTACKER, renamed=True),
        "duplicate": attacks.twice(ATTACKER),
        "copy of another's bytes": attacks.bytes_of(ATTACKER, VICTIM),
        "copy of another": arrays(attacks.copying(VICTIM)),
        "ALIE": arrays(attacks.little_is_enough),
        "IPM": arrays(attacks.inner_product),
        "erase": arrays(attacks.erasing(VICTIM)),
        "zero": arrays(attacks.zero),
        "random": arrays(attacks.noise),
    }


def main() -> None:
    arguments = parsed_arguments()
    torch.set_num_threads(1)
    lab = Laboratory(arguments.work, arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "hostile.json"
    found = json.loads(path.read_text("utf-8")) if path.exists() else {"rows": {}}
    found["setting"] = lab.setting
    for rule, attack in wanted(arguments):
        name = f"{rule} / {attack}"
        if name in found["rows"] and not arguments.again:
            continue
        began_s = time.process_time()
        row = lab.measure(rule, attack)
        row |= {"cpu_s": round(time.process_time() - began_s, 1)}
        row |= {"date": datetime.now(UTC).date().isoformat()}
        found["rows"][name] = row
        write_atomic(path, json.dumps(found, indent=1, ensure_ascii=False).encode() + b"\n")
        print(
            f"{name}: {row['mean']:.3f}, worst {row['worst']:.3f}, {row['cpu_s']} CPU s", flush=True
        )
    write_atomic(path.with_suffix(".md"), page(found).encode())


def wanted(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """Rule and attack of each row."""
    rows = [(rule, "none") for rule in RULES]
    rows += [(DEFAULT, attack) for attack in adversaries(0)]
    rows += [("mean", attack) for attack in ("scale 1e6", "scale 1e6, state too")]
    rows += [(rule, attack) for attack in PLAIN for rule in RULES]
    rows += [(GATED, attack) for attack in ("sign flip", "random", "zero")]
    rows = list(dict.fromkeys(rows))
    if arguments.only:
        rows = [row for row in rows if any(part in " / ".join(row) for part in arguments.only)]
    return rows


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--work", type=Path, default=Path("bench-work/hostile"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="PART", help="rows whose name holds this")
    parser.add_argument("--again", action="store_true", help="measure rows that are there already")
    return parser.parse_args()


class Timed(NetworkProber):
    """A prober that adds up the processor time it takes."""

    cpu_s = 0.0

    def benefits(self, case: GateCase) -> Benefits:
        began_s = time.process_time()
        try:
            return super().benefits(case)
        finally:
            Timed.cpu_s += time.process_time() - began_s


class Laboratory:
    """Text and tokenizer, and how a row is measured on them."""

    def __init__(
        self, work: Path, seed: int, spoil: Callable[[Path], None] = lambda _: None
    ) -> None:
        self._seed, self._spoil = seed, spoil
        kept = digest_json([MEMBERS, TEXT_BYTES, SIZES]).removeprefix("sha256:")[:12]
        self._work = work / kept
        self._home = FederationFolder(self._work)
        self._tokenizer = self._work / "tokenizer.json"
        run = self.run({})
        if not self._tokenizer.exists():
            self._write(run)
        self.setting = {
            "members": {m: find_member(m).locale for m in MEMBERS},
            "attacker": ATTACKER,
            "victim": VICTIM,
            "seed": seed,
            "sizes": SIZES,
            "text_bytes": TEXT_BYTES,
            "rules": RULES,
            "default": DEFAULT,
        }

    def _gate(self, run: RunDocument) -> Gate:
        lines = read_parallel(self.parallel, [find_member(m).locale for m in MEMBERS])
        data = probe_set(lines.measure, run)
        path = self._work / "probes.json"
        write_atomic(path, data)
        return Gate(digest_bytes(data), path, Timed())

    def run(self, update: Mapping[str, Any]) -> RunDocument:
        roster = [{"id": m, "languages": [find_member(m).locale]} for m in MEMBERS]
        value = {"name": "hostile", "seed": self._seed, "roster": roster, **SIZES}
        return parse_run({**value, "update": dict(update)})

    def finished(self, folder: Path) -> tuple[Simulation, Path]:
        """A run by the default's rule without attack, and the tokenizer's file."""
        run = self.run(RULES[DEFAULT])
        simulation = Simulation(run, self.texts(run), folder)
        for _ in range(run.rounds.count):
            simulation.train()
        return simulation, self._tokenizer

    @property
    def parallel(self) -> Path:
        """Public lines in all languages, of which no member's text holds one."""
        return self._work / "almanac" / "parallel" / "test"

    def measure(self, rule: str, attack: str) -> dict[str, Any]:
        """Train under attack, in a folder that is then thrown away."""
        Timed.cpu_s = 0.0
        run, adversary = self.run(RULES[rule]), adversaries(self._seed)[attack]
        with tempfile.TemporaryDirectory(dir=self._work) as folder:
            gate = self._gate(run) if rule == GATED else None
            simulation = Simulation(run, self.texts(run), Path(folder), gate=gate)
            simulation.state.folder.objects.put(self._tokenizer.read_bytes())
            records = [simulation.train(adversary=adversary) for _ in range(run.rounds.count)]
            parameters = parameter_count(TensorFile(simulation.state.current.path).specs)
            losses = {m: sums.bits_per_byte for m, sums in simulation.evaluate().items()}
        honest = {m: loss for m, loss in losses.items() if m != ATTACKER}
        left_out = [record.left_out for record in records]
        return {
            "mean": fmean(honest.values()),
            "worst": max(honest.values()),
            "worst_member": max(honest, key=honest.__getitem__),
            "members": losses,
            "parameters": parameters,
            "gate_cpu_s": round(Timed.cpu_s, 1),
            "attacker_left_out": sum(ATTACKER in one for one in left_out),
            "honest_left_out": sum(len(one.keys() - {ATTACKER}) for one in left_out),
            "why": sorted({reason for one in left_out for reason in one.values()}),
        }

    def _write(self, run: RunDocument) -> None:
        write_almanac(
            self._work / "almanac", members=MEMBERS, bytes_per_member=TEXT_BYTES, seed=self._seed
        )
        self._spoil(self._work / "almanac")
        texts = {}
        for member in MEMBERS:
            own = self._home.member(member)
            own.write(name=member, text=(f"../../almanac/{member}/text.jsonl",))
            texts[member] = MemberText(own, run)
            texts[member].prepare()
        session = MergeSession(
            mode="ordinary",
            merges=run.tokenizer.merges,
            min_pair_count=run.tokenizer.min_pair_count,
            parallel=None,
            member_languages=dict.fromkeys(MEMBERS, ()),
        )
        answers: dict[str, bytes] = {}
        while (request := session.next_request(answers)) is not None:
            answers = {member: text.answer_counts(request) for member, text in texts.items()}
        data = session.tokenizer_json().encode()
        for text in texts.values():
            text.use_tokenizer(data, digest_bytes(data))
        write_atomic(self._tokenizer, data)

    def texts(self, run: RunDocument) -> dict[str, MemberText]:
        """Each member's text, opened for a run."""
        texts = {member: MemberText(self._home.member(member), run) for member in MEMBERS}
        for text in texts.values():
            text.open(self._tokenizer.read_bytes())
        return texts


if __name__ == "__main__":
    main()

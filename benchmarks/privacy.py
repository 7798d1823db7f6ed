"""What updates of honest and leaky members give away, what an audit costs, what noise costs.

usage: privacy.py [--corpora FOLDER] [--parts PART,PART] [--rounds N]

Parts: figures, speed, almanac, corpora, leaky, noise.

Members are the product's own (`MemberTraining`, `Simulation`), with a `privacy.toml` each, in one
process. Without the corpora the almanac is used alone. Prints Markdown tables for
`docs/benchmarks/privacy.md`, a part at a time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from concord.base.digest import digest_bytes
from concord.base.files import private_folder
from concord.charter.run import RunDocument, parse_run
from concord.cli.initialise import make_almanac_federation
from concord.data.bpe.session import MergeSession
from concord.federation.folders import MemberFolder
from concord.federation.member.audit_folder import AuditFolder
from concord.federation.member.state import MemberState
from concord.federation.member.text import MemberText
from concord.federation.simulation import SimulatedMember, Simulation
from concord.federation.work import Train, Withheld
from concord.model.build import ModelShape, build_model
from concord.train.audit.verdict import AuditLimits, AuditReport, over_limits
from concord.train.loop import LocalTrainer
from concord.train.private.accounting import (
    SampledNoise,
    epsilon,
    noise_for,
    noise_for_everybody,
    noise_to_signal,
)
from concord.train.private.gradient import PrivateGradient, PrivateRule
from concord.train.private.randomness import SecretStream

HONEST = {"greece": ("ell_Grek",), "nigeria": ("ibo_Latn",)}
ALMANAC = ("greece", "kenya")
DELTA = 1e-5
AUDIT = "[audit]\nevery_rounds = {every}\ncanaries = 300\n"
MEASURES = tuple(AuditLimits.model_fields)


def run_document(members: tuple[str, ...], **changes: dict[str, object]) -> RunDocument:
    """The default sizes of `concord init`, with fewer rounds."""
    value: dict[str, object] = {
        "name": "privacy",
        "roster": [{"id": member} for member in members],
        "tokenizer": {"mode": "ordinary", "merges": 2048, "parallel": None},
        "inner": {"warmup_steps": 20},
        "evaluation": {"every_rounds": 0, "max_bytes": 60_000},
    }
    for section, fields in changes.items():
        value[section] = {**value.get(section, {}), **fields}  # type: ignore[dict-item]
    return parse_run(value)


def learn(texts: dict[str, MemberText], merges: int) -> tuple[bytes, str]:
    """One tokenizer from the members' pair counts, as a run learns it."""
    session = MergeSession(
        mode="ordinary",
        merges=merges,
        min_pair_count=2,
        member_languages=dict.fromkeys(texts, ()),
    )
    answers: dict[str, bytes] = {}
    while (request := session.next_request(answers)) is not None:
        answers = {name: text.answer_counts(request) for name, text in texts.items()}
    data = session.tokenizer_json().encode()
    return data, digest_bytes(data)


def write_corpus(folder: MemberFolder, source: Path, *, most_bytes: int, privacy: str) -> None:
    """A member with the first documents of a corpus."""
    folder.write(name=folder.id, text=("text.jsonl",))
    size, lines = 0, []
    with gzip.open(source, "rt", encoding="utf-8") as stream:
        for line in stream:
            lines.append(json.dumps({"text": json.loads(line)["text"]}) + "\n")
            size += len(line.encode())
            if size > most_bytes:
                break
    (folder.root / "text.jsonl").write_text("".join(lines))
    (folder.root / "privacy.toml").write_text(privacy)


def opened(folder: MemberFolder, run: RunDocument, tokenizer: bytes, digest: str) -> MemberText:
    text = MemberText(folder, run)
    text.prepare()
    text.use_tokenizer(tokenizer, digest)
    return text


def audited(
    root: Path, run: RunDocument, tokenizer: tuple[bytes, str]
) -> tuple[dict[str, list[AuditReport]], dict[str, list[float]]]:
    """All audits of a simulated run, and the seconds of the steps of each audited round."""
    names = run.member_ids
    texts = {n: opened(MemberFolder(root / n), run, *tokenizer) for n in names}
    simulation = Simulation(run, texts, private_folder(root / "sim"))
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(run.rounds.count):
        began = {"s": time.perf_counter()}

        def told(name: str, member: SimulatedMember) -> None:
            if member._audit.due(round_):  # noqa: B023
                seconds[name].append(time.perf_counter() - began["s"])  # noqa: B023
            began["s"] = time.perf_counter()  # noqa: B023

        simulation.train(on_trained=told)
    found = {n: AuditFolder(MemberFolder(root / n), run).reports() for n in names}
    return found, seconds


def row(title: str, report: AuditReport) -> str:
    values = (getattr(report, name) for name in MEASURES)
    cells = ("" if math.isnan(value) else f"{value:.2f}" for value in values)
    over = ", ".join(over_limits(report, AuditLimits())) or "none"
    return f"| {title} | {report.round} | {' | '.join(cells)} | {report.canaries} | {over} |"


def head() -> str:
    names = ("member", "round", *MEASURES, "canaries", "over the default limits")
    return f"| {' | '.join(names)} |\n|---|{'--:|' * (len(names) - 2)}---|"


def honest_almanac(work: Path, rounds: int) -> None:
    root = work / "almanac"
    make_almanac_federation(root, ALMANAC, almanac_bytes=600_000, seed=0)
    for name in ALMANAC:
        (root / "members" / name / "privacy.toml").write_text(AUDIT.format(every=rounds - 1))
    run = run_document(ALMANAC, rounds={"count": rounds})
    texts = {name: MemberText(MemberFolder(root / "members" / name), run) for name in ALMANAC}
    for text in texts.values():
        text.prepare()
    show("almanac", *audited(root / "members", run, learn(texts, 2048)))


def honest_corpora(work: Path, corpora: Path, rounds: int) -> None:
    """Honest members of real text."""
    root, members = work / "corpora", tuple(HONEST)
    run = run_document(members, rounds={"count": rounds})
    for name in members:
        source = corpora / "train" / f"{name}.jsonl.gz"
        privacy = AUDIT.format(every=max(1, (rounds - 1) // 2))
        write_corpus(MemberFolder(root / name), source, most_bytes=2_000_000, privacy=privacy)
    texts = {name: MemberText(MemberFolder(root / name), run) for name in members}
    for text in texts.values():
        text.prepare()
    tokenizer = learn(texts, 2048)
    show("corpora", *audited(root, run, tokenizer))


def leaky(work: Path, corpora: Path) -> None:
    """Members that train 50 epochs on a short text, with a tokenizer of more of it."""
    for name in HONEST:
        source = corpora / "train" / f"{name}.jsonl.gz"
        larger = MemberFolder(work / "larger" / name)
        write_corpus(larger, source, most_bytes=1_000_000, privacy="")
        run = run_document((name,))
        text = MemberText(larger, run)
        text.prepare()
        tokenizer = learn({name: text}, 2048)
        folder = MemberFolder(work / "leaky" / name)
        privacy = AUDIT.format(every=1).replace("300", "100")
        write_corpus(folder, source, most_bytes=30_000, privacy=privacy)
        (folder.root / "heldout.jsonl").write_text("".join(held_lines(corpora, name)))
        folder.write(name=name, text=("text.jsonl",), heldout=("heldout.jsonl",))
        tokens = opened(folder, run, *tokenizer).tokens
        steps = math.ceil(50 * tokens / run.inner.batch_tokens)
        once = run_document((name,), rounds={"count": 1, "inner_steps": steps})
        text = opened(folder, once, *tokenizer)
        member = SimulatedMember(
            text, MemberState(private_folder(work / "leaky" / f"state-{name}"), once.digest)
        )
        path, digest = member.first_base()
        member.state.adopt_base(path, digest, 0)
        plan = Train(run=once.digest, round=0, base=digest, inner_steps=steps)
        made = member.train(plan, interrupted=lambda: False, on_progress=lambda *_: None)
        (report,) = AuditFolder(folder, once).reports()
        print(head(), flush=True)
        print(row(f"{name}, 50 epochs on {tokens:,} tokens, {steps} steps", report), flush=True)
        print(f"sent: {not isinstance(made, Withheld)}", flush=True)


def show(title: str, found: dict[str, list[AuditReport]], seconds: dict[str, list[float]]) -> None:
    print(head(), flush=True)
    for name, reports in found.items():
        for report in reports:
            print(row(f"{name} ({title})", report), flush=True)
    shares = [
        report.seconds / (whole - report.seconds)
        for name in found
        for report, whole in zip(found[name], seconds[name], strict=True)
    ]
    print(
        f"an audit takes {statistics.median(shares):.0%} of the round it looks at"
        f" (median of {len(shares)}; least {min(shares):.0%}, most {max(shares):.0%})",
        flush=True,
    )


# --- noise ------------------------------------------------------------------------------------


def noise_utility(work: Path, corpora: Path) -> None:
    """Held-out bits per byte after the same steps, by ε; one member, most of each step private."""
    steps, drawn = 150, 16.0
    base = work / "noise"
    print("| ε | noise multiplier | held-out bits per byte |\n|--:|--:|--:|", flush=True)
    tokenizer: tuple[bytes, str] | None = None
    for budget in ("no steps", "without clip and noise", 100.0, 8.0, 2.0):
        root = base / str(budget).replace(" ", "-")
        folder = MemberFolder(root / "nigeria")
        private = budget not in ("no steps", "without clip and noise")
        sensitive = SENSITIVE.format(budget=budget, drawn=drawn, delta=DELTA) if private else ""
        source = corpora / "train" / "nigeria.jsonl.gz"
        write_corpus(folder, source, most_bytes=3_000_000, privacy=sensitive)
        lines = (root / "nigeria" / "text.jsonl").read_text().splitlines(keepends=True)
        (root / "nigeria" / "sensitive.jsonl").write_text(
            "".join(paragraphs(lines[len(lines) // 8 :]))
        )
        few = lines[: len(lines) // 8] if private else lines
        (root / "nigeria" / "text.jsonl").write_text("".join(few))
        (root / "nigeria" / "heldout.jsonl").write_text("".join(held_lines(corpora, "nigeria")))
        folder.write(name="n", text=("text.jsonl",), heldout=("heldout.jsonl",))
        run = run_document(
            ("nigeria",),
            rounds={"count": 1, "inner_steps": steps},
            model={"hidden": 96, "layers": 2},
            inner={"batch_tokens": int(drawn) * 128 if not private else 128},
        )
        text = MemberText(folder, run)
        text.prepare()
        tokenizer = tokenizer or learn({"nigeria": text}, 1024)
        text.use_tokenizer(*tokenizer)
        member = SimulatedMember(text, MemberState(private_folder(root / "state"), run.digest))
        path, digest = member.first_base()
        member.state.adopt_base(path, digest, 0)
        if budget != "no steps":
            plan = Train(run=run.digest, round=0, base=digest, inner_steps=steps)
            member.train(plan, interrupted=lambda: False, on_progress=lambda *_: None)
        sums = member.measure_own() if budget != "no steps" else member.evaluate()
        noise = text.sensitive.gradients()[0].rule.noise_multiplier if private else 0.0
        count = len(text.sensitive._ready[0].gradient._documents) if private else 0
        print(f"| {budget} | {noise:.2f} | {sums.bits_per_byte:.3f} | {count}", flush=True)


def paragraphs(lines: list[str]) -> list[str]:
    """Documents of some 600 characters: a unit of privacy as a case or a letter would be."""
    texts = [json.loads(line)["text"] for line in lines]
    cut = [text[k : k + 600] for text in texts for k in range(0, len(text), 600)]
    return [json.dumps({"text": text}) + "\n" for text in cut if len(text) > 100]


def held_lines(corpora: Path, name: str) -> list[str]:
    with gzip.open(corpora / "heldout" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
        return [next(stream) for _ in range(20)]


SENSITIVE = """[[sensitive]]
dataset = "letters"
text = ["sensitive.jsonl"]
max_epsilon = {budget}
delta = {delta}
documents_per_step = {drawn}
share = 0.9
"""


# --- speed and figures ------------------------------------------------------------------------


def speed() -> None:
    """Seconds of a step's gradient, the same rows: at once, by `vmap`, and one after another."""
    torch.set_num_threads(1)
    run = run_document(("one",))
    shape = ModelShape(128, 4, 4, 2, 32, 384, 128, 4096, 0)
    rows = np.random.default_rng(0).integers(1, 4096, (16, 129))
    print("| precision | at once | one after another, clipped, noised | `vmap`, clipped |")
    print("|---|--:|--:|--:|", flush=True)
    for precision in ("fp32", "bf16"):
        inner = run.inner.model_copy(update={"precision": precision})
        plain = LocalTrainer(build_model(shape, seed=0), inner, total_steps=100)
        documents = Rows(rows)
        rule = PrivateRule(1.0, 1.0, float(len(rows)), 0.5)
        private = PrivateGradient(documents, rule, context=128, stream=SecretStream())
        parameters = [p for p in plain.model.parameters() if p.requires_grad]

        def at_once() -> None:
            with plain._training():  # noqa: B023
                plain._use_attention("eager")  # noqa: B023
                plain._backward(rows)  # noqa: B023

        def one_by_one() -> None:
            with plain._training():  # noqa: B023
                plain._use_attention("eager")  # noqa: B023
                private.noised_mean(parameters, plain._document_loss)  # noqa: B023

        times: dict[str, list[float]] = {"at once": [], "one": [], "vmap": []}
        for _ in range(7):
            times["at once"].append(timed(at_once))
            times["one"].append(timed(one_by_one))
            if precision == "fp32":
                times["vmap"].append(timed(lambda: by_vmap(plain.model, rows)))  # noqa: B023
        base = statistics.median(times["at once"])
        one = statistics.median(a / b for a, b in zip(times["one"], times["at once"], strict=True))
        vmap = (
            f"{statistics.median(times['vmap']) / base:.2f} ×" if times["vmap"] else "not measured"
        )
        print(f"| {precision} | {base:.2f} s | {one:.2f} × | {vmap} |", flush=True)


class Rows:
    """Rows as documents."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def tokens(self, index: int) -> np.ndarray:
        return self._rows[index]


def by_vmap(model: torch.nn.Module, rows: np.ndarray) -> None:
    model.set_attn_implementation("eager")
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights: dict[str, torch.Tensor], row: torch.Tensor) -> torch.Tensor:
        inputs = {"input_ids": row[None, :-1], "use_cache": False}
        logits = torch.func.functional_call(model, weights, (), inputs).logits
        return torch.nn.functional.cross_entropy(logits[0], row[1:])

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))
    for part in torch.from_numpy(rows).split(4):
        found = each(weights, part)
        norms = torch.sqrt(sum((g.flatten(1) ** 2).sum(1) for g in found.values()))
        scale = torch.clamp(1 / norms, max=1.0)
        for gradient in found.values():
            torch.einsum("i...,i->...", gradient, scale)


def timed(step: Callable[[], None]) -> float:
    began_s = time.process_time()
    step()
    return time.process_time() - began_s


def figures() -> None:
    """The figures of docs/limits.md."""
    for budget in (2, 8, 32):
        z = noise_for_everybody(budget, DELTA, steps=500)
        told = epsilon({SampledNoise(z, 1.0): 500}, DELTA)
        ratios = [noise_to_signal(z, parameters=10**9, documents=n) for n in (10, 50, 200)]
        print(f"member: epsilon {budget}: z {z:.1f} (library: {told:.2f}); ratios {ratios}")
    for documents, drawn, steps, parameters in (
        (10**5, 1024, 2000, 10**6),
        (10**6, 4096, 2000, 10**6),
        (10**6, 4096, 2000, 10**9),
        (10**8, 524_288, 20_000, 10**9),
    ):
        rate = drawn / documents
        z = noise_for(8.0, 0.1 / documents, sampling_rate=rate, steps=steps)
        ratio = noise_to_signal(z, parameters=parameters, documents=drawn)
        print(
            f"document: {documents:.0e} drawn {drawn} steps {steps} d {parameters:.0e}:"
            f" z {z:.3f} ratio {ratio:.3f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", type=Path, default=Path("../shared/corpora"))
    parser.add_argument("--parts", default="figures,speed,almanac,corpora,leaky,noise")
    parser.add_argument("--rounds", type=int, default=13)
    options = parser.parse_args()
    torch.set_num_threads(1)
    asked = options.parts.split(",")
    with tempfile.TemporaryDirectory(prefix="concord-privacy-") as found:
        work = Path(found)
        if "figures" in asked:
            figures()
        if "speed" in asked:
            speed()
        if "almanac" in asked:
            honest_almanac(work, options.rounds)
        if options.corpora.exists():
            if "corpora" in asked:
                honest_corpora(work, options.corpora, options.rounds)
            if "leaky" in asked:
                leaky(work, options.corpora)
            if "noise" in asked:
                noise_utility(work, options.corpora)


if __name__ == "__main__":
    main()

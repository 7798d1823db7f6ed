"""Train and measure one arm of a comparison, in a process of its own.

All arms start from the same seeded first base, use the same tokenizer, the same schedule of the
same number of inner steps, and together as many tokens as the federation: the pooled arm takes
every member's batch at every step; an alone arm takes one member's. A sovereign build continues
the final base on one member's text for a tenth of its steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from concord.base.canonical import canonical_json, parse_json
from concord.base.errors import CorpusEmpty
from concord.base.files import write_atomic
from concord.base.tensors import TensorFile
from concord.charter.run import RunDocument
from concord.charter.run_sections import ComparisonSpec, InnerSpec
from concord.charter.schedule import total_steps
from concord.federation.comparison.outcome import (
    ArmJob,
    ArmResult,
    Kind,
    KnownFacts,
    TextSums,
)
from concord.federation.facts import member_facts
from concord.federation.folders import FederationFolder
from concord.federation.member.network import build_network, over_vocabulary
from concord.federation.member.text import MemberText
from concord.ledger.layouts import base_weights
from concord.model.tensors import load_tensors, save_tensors
from concord.train.evaluate import heldout_sums
from concord.train.facts import fact_counts
from concord.train.loop import LocalTrainer

UNAVERAGED_RATE = 2.0
"""Rates of pooled and alone models over those of `inner`, where the run document names none."""


def run_arm(job: ArmJob) -> ArmResult:
    """Train and measure an arm, or return what an earlier start measured."""
    import torch

    torch.set_num_threads(1)
    result_path = job.out / f"{job.name.replace('/', '-')}.json"
    if result_path.exists():
        earlier = ArmResult.model_validate(parse_json(result_path.read_bytes(), where=result_path))
        if earlier.key == job.key:
            return earlier
    texts = _open_texts(job)
    base = TensorFile(job.start)
    model = build_network(job.run, texts[0].tokenizer, texts[0].continued_folder)
    load_tensors(model, base_weights(base))
    trained = _train(job, model, texts)
    weights = save_tensors(result_path.with_suffix(".tensors"), model)
    result = _measure(job, model, texts, trained).model_copy(update={"weights": weights})
    write_atomic(result_path, canonical_json(result.model_dump(mode="json")))
    return result


def _open_texts(job: ArmJob) -> list[MemberText]:
    folder = FederationFolder(job.federation)
    data = None if job.tokenizer is None else job.tokenizer.read_bytes()
    texts = []
    for member in job.run.member_ids:
        text = MemberText(folder.member(member), job.run)
        text.open(data)
        texts.append(text)
    return texts


def _train(job: ArmJob, model: PreTrainedModel, texts: list[MemberText]) -> dict[str, float]:
    if job.kind == "shared":
        return {"steps": 0, "tokens": 0, "flops": 0, "seconds": 0.0}
    chosen = [t for t in texts if job.kind == "pooled" or t.folder.id == job.member]
    steps = total_steps(job.run.rounds)
    if job.kind == "sovereign":
        steps = max(1, round(job.run.comparison.sovereign_share * steps))

    def batch(step: int) -> NDArray[np.int64]:
        # A sovereign build goes on in the member's text where the federation stopped.
        shift = total_steps(job.run.rounds) if job.kind == "sovereign" else 0
        return np.concatenate([text.batch(step + shift) for text in chosen])

    seen = None
    if job.run.inner.vocabulary == "seen":
        counts_V = np.sum([text.token_counts for text in chosen], axis=0)
        seen = over_vocabulary(model, counts_V) > 0
    trainer = LocalTrainer(
        model,
        arm_inner(job.run, job.kind, steps),
        total_steps=steps,
        end_id=texts[0].tokenizer.end_id,
        seen_tokens=seen,
    )
    stats = trainer.run(batch, first_step=0, count=steps)
    return {
        "steps": stats.steps,
        "tokens": stats.tokens,
        "flops": stats.flops,
        "seconds": stats.seconds,
    }


def arm_inner(run: RunDocument, kind: Kind, steps: int) -> InnerSpec:
    """The inner loop of an arm: the run's own, at the rates its comparison section names."""
    inner, comparison = run.inner, run.comparison
    if kind == "sovereign":
        return sovereign_inner(inner, comparison, steps)
    rates = {"lr": inner.lr, "matrix_lr": inner.matrix_lr}
    named: dict[str, float | None] = {}
    if kind == "pooled":
        named = {"lr": comparison.pooled_lr, "matrix_lr": comparison.pooled_matrix_lr}
    elif kind == "alone":
        named = {"lr": comparison.alone_lr, "matrix_lr": comparison.alone_matrix_lr}
    changes: dict[str, object] = {name: UNAVERAGED_RATE * rate for name, rate in rates.items()}
    changes |= {name: rate for name, rate in named.items() if rate is not None}
    return inner.model_copy(update=changes)


def sovereign_inner(inner: InnerSpec, comparison: ComparisonSpec, steps: int) -> InnerSpec:
    """The inner loop of a build at home, from a network that is warm already.

    A short warm-up is for the optimiser; the rate decays over the rest.
    """
    factor = comparison.sovereign_rate
    changes: dict[str, object] = {"lr": factor * inner.lr, "matrix_lr": factor * inner.matrix_lr}
    changes |= {"warmup_steps": min(inner.warmup_steps, steps // 10), "decay_share": 0.8}
    return inner.model_copy(update=changes)


def _measure(
    job: ArmJob, model: PreTrainedModel, texts: list[MemberText], trained: dict[str, float]
) -> ArmResult:
    asked = [t for t in texts if job.kind != "sovereign" or t.folder.id == job.member]
    sums, facts = {}, {}
    for text in asked:
        found = heldout_sums(
            model,
            text.heldout(),
            text.tokenizer.encode,
            start_id=text.tokenizer.start_id,
            context=job.run.model.context,
            max_bytes=job.run.evaluation.max_bytes,
        )
        if not found.bytes:
            raise CorpusEmpty("has no held-out text", where=text.folder.id)
        sums[text.folder.id] = TextSums(nats=found.nats, bytes=found.bytes, tokens=found.tokens)
        own_facts = member_facts(text.folder)
        if own_facts:
            counts = fact_counts(
                model,
                own_facts,
                text.tokenizer.encode,
                start_id=text.tokenizer.start_id,
                context=job.run.model.context,
            )
            facts[text.folder.id] = KnownFacts(known=counts.known, asked=counts.asked)
    return ArmResult(
        key=job.key,
        arm=job.name,
        steps=int(trained["steps"]),
        tokens=int(trained["tokens"]),
        flops=int(trained["flops"]),
        seconds=trained["seconds"],
        sums=sums,
        facts=facts,
    )

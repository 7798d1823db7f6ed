"""Train a shared model on, at home: read the text, measure the base, train, measure the build.

The loop is that of a run, at the rates that a comparison's sovereign arm takes. A build may be
killed at any instant: the same call goes on from the last snapshot, and ends with the same weights
as one that was left alone. The tokenizer is the base's, byte for byte.

Its working folder lies beside the build, readable by its owner only, and is removed at the end.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from concord.base.digest import Digest, digest_bytes
from concord.base.errors import DocumentError
from concord.base.files import private_folder
from concord.base.tensors import tensor_header
from concord.charter.run_sections import ComparisonSpec, InnerSpec
from concord.data.prepare import prepare_text, read_prepared
from concord.data.samples import SampleOrder
from concord.data.shards import TokenShards, write_shards
from concord.data.summary import TextSummary
from concord.federation.comparison.arms import sovereign_inner
from concord.federation.parallel import languages_in, read_parallel
from concord.model.folder import load_folder, save_folder
from concord.model.tensors import tensor_specs, to_array
from concord.model.tokenizer import Tokenizer
from concord.release.sovereign.adapters import merged, with_adapters
from concord.release.sovereign.measure import Texts, measure
from concord.release.sovereign.record import (
    OWN,
    RECORD,
    Base,
    Measured,
    Plan,
    SovereignRecord,
    read_record,
)
from concord.release.sovereign.snapshots import Snapshots
from concord.train.loop import LocalTrainer

SAVE_EVERY_STEPS = 50
LONGEST_CONTEXT = 1024
"""Tokens of a sample where nothing else is asked for. Assumption."""
LORA_RATE = 4.0
"""AdamW's rate for adapters, over that for all weights; of 4, 10 and 30 the best that was measured
(`docs/benchmarks/sovereign.md`)."""
USUAL_INNER, USUAL_COMPARISON = InnerSpec(), ComparisonSpec()
OnStep = Callable[[int, int], object]


@dataclass(frozen=True)
class Wish:
    """What a member asks for.

    Args:
        text: Files and folders of its own text.
        heldout: Files that are only measured on; without them a share of the text is.
        parallel: Folder of a public parallel set; its languages are measured on.
        languages: Those of it that are; all if empty.
        tokens: To train on; one pass over the text if None.
        lora_rank: Train adapters of this rank in place of all weights.
        inner: The inner loop that the base was made with, where that is known.
        comparison: Its share and rates of sovereign builds.
    """

    text: tuple[Path, ...]
    heldout: tuple[Path, ...] = ()
    heldout_share: float = 0.05
    text_key: str = "text"
    parallel: Path | None = None
    languages: tuple[str, ...] = ()
    tokens: int | None = None
    context: int | None = None
    lora_rank: int | None = None
    lr: float | None = None
    matrix_lr: float | None = None
    inner: InnerSpec = USUAL_INNER
    comparison: ComparisonSpec = USUAL_COMPARISON
    seed: int = 0


def build_sovereign(
    base: Path,
    wish: Wish,
    out: Path,
    *,
    manifest: Digest | None = None,
    version: str = "",
    save_every_steps: int = SAVE_EVERY_STEPS,
    on_step: OnStep = lambda _done, _all: None,
) -> SovereignRecord:
    """Make a model folder at `out` from the one at `base`, with a record beside it.

    Args:
        manifest: Digest of the release that the base is of.
        on_step: Told after each step how many of how many were taken.

    Raises:
        ModelError: the base cannot be loaded; TrainingDiverged: the rates are too high.
        DataError: the text cannot be used, or is too short for one batch.
        DocumentError: an option is out of range, or `out` holds something else.
        StorageError: the disk is full or `out` cannot be written.
    """
    if out.exists() and not (out / RECORD).is_file():
        raise _taken(out)
    loaded = load_folder(base)
    tokenizer = Tokenizer.from_files(loaded.tokenizer_files)
    work = private_folder(out.with_name(f".{out.name}.sovereign"))
    summary = _prepare(wish, work)
    made_of = Base(
        weights=network_digest(loaded.model),
        tokenizer=digest_bytes(loaded.tokenizer_files["tokenizer.json"].encode()),
        manifest=manifest,
        version=version,
    )
    plan = _plan(wish, loaded.model, tokenizer, summary, made_of, work)
    if out.exists():
        shutil.rmtree(work)  # first: whatever is found, no cleaned text stays
        record = read_record(out)
        if record.plan != plan:
            raise _taken(out)
        return record
    texts = _texts(wish, work)
    before = measure(loaded.model, tokenizer, texts, context=plan.context)
    model, tokens, flops = _train(
        plan, loaded.model, work, save_every_steps=save_every_steps, on_step=on_step
    )
    after = measure(model, tokenizer, texts, context=plan.context)
    record = SovereignRecord(
        plan=plan,
        weights=network_digest(model),
        train_documents=summary.train_documents,
        train_bytes=summary.train_bytes,
        heldout_documents=summary.heldout_documents,
        tokens=tokens,
        flops=flops,
        measured={name: Measured(base=before[name], build=after[name]) for name in before},
    )
    save_folder(out, model, {**loaded.tokenizer_files, RECORD: record.text})
    shutil.rmtree(work)
    return record


def network_digest(model: PreTrainedModel) -> Digest:
    """Digest of the canonical tensor file of a network's weights, without writing it."""
    parameters = dict(model.named_parameters())
    specs = tensor_specs(model)
    found = hashlib.sha256(tensor_header(specs))
    for spec in specs:
        found.update(np.ascontiguousarray(to_array(parameters[spec.name])).data.cast("B"))
    return "sha256:" + found.hexdigest()


def _prepare(wish: Wish, work: Path) -> TextSummary:
    """Clean and split the text. The split's key follows from the seed: nobody is kept from it."""
    return prepare_text(
        wish.text,
        private_folder(work / "documents"),
        key=hashlib.sha256(f"concord sovereign {wish.seed}".encode()).digest(),
        heldout_share=0.0 if wish.heldout else wish.heldout_share,
        heldout_paths=wish.heldout or None,
        text_key=wish.text_key,
    )


def _plan(
    wish: Wish,
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    summary: TextSummary,
    base: Base,
    work: Path,
) -> Plan:
    write_shards(
        (document.text for document in read_prepared(work / "documents", "train")),
        private_folder(work / "shards"),
        encode_batch=tokenizer.encode_documents,
        end_id=tokenizer.start_id,
        vocabulary_size=tokenizer.size,
        tokenizer_digest=tokenizer.digest,
        source_digest=summary.train_digest,
    )
    context = wish.context or min(
        int(getattr(model.config, "max_position_embeddings", LONGEST_CONTEXT)), LONGEST_CONTEXT
    )
    batch_tokens = max(context, wish.inner.batch_tokens // context * context)
    tokens = wish.tokens if wish.tokens is not None else TokenShards(work / "shards").token_count
    steps = max(1, tokens // batch_tokens)
    inner = sovereign_inner(wish.inner, wish.comparison, steps)
    changes: dict[str, object] = {"batch_tokens": batch_tokens, "vocabulary": "full"}
    if wish.lora_rank is not None:
        changes |= {"optimizer": "adamw", "lr": LORA_RATE * inner.lr}
    rates = {"lr": wish.lr, "matrix_lr": wish.matrix_lr}
    changes |= {name: rate for name, rate in rates.items() if rate is not None}
    return Plan(
        base=base,
        train=summary.train_digest,
        heldout=summary.heldout_digest,
        inner=inner.model_copy(update=changes),
        context=context,
        steps=steps,
        lora_rank=wish.lora_rank,
        seed=wish.seed,
    )


def _taken(out: Path) -> DocumentError:
    return DocumentError("is there already", where=out, remedy="name a new folder")


def _texts(wish: Wish, work: Path) -> Texts:
    def own() -> list[str]:
        return [document.text for document in read_prepared(work / "documents", "heldout")]

    texts = {OWN: own}
    if wish.parallel is not None:
        languages = wish.languages or tuple(languages_in(wish.parallel))
        lines = read_parallel(wish.parallel, languages).measure
        texts |= {language: partial(list, lines[language]) for language in sorted(languages)}
    return texts


def _train(
    plan: Plan, network: PreTrainedModel, work: Path, *, save_every_steps: int, on_step: OnStep
) -> tuple[PreTrainedModel, int, int]:
    """The trained network, and how many tokens and FLOPs that took in all."""
    model = network
    if plan.lora_rank is not None:
        model = with_adapters(network, plan.lora_rank, seed=plan.seed)
    order = SampleOrder(
        TokenShards(work / "shards"), seed=plan.seed, member="sovereign", context=plan.context
    )
    batch_size = plan.inner.batch_tokens // plan.context
    order.check(batch_size)
    trainer = LocalTrainer(model, plan.inner, total_steps=plan.steps)
    snapshots = Snapshots(work, plan.digest)
    status = snapshots.restore(trainer)
    done, tokens, flops = (
        (0, 0, 0) if status is None else (status.step, status.tokens, status.flops)
    )

    def batch(step: int) -> NDArray[np.int64]:
        return order.batch(step, batch_size)

    def told(step: int) -> None:
        on_step(step + 1, plan.steps)

    while done < plan.steps:
        stats = trainer.run(
            batch,
            first_step=done,
            count=min(save_every_steps, plan.steps - done),
            on_step=told,
        )
        done, tokens, flops = done + stats.steps, tokens + stats.tokens, flops + stats.flops
        snapshots.save(trainer, step=done, tokens=tokens, flops=flops)
    trained = model if plan.lora_rank is None else merged(model)
    return trained, tokens, flops

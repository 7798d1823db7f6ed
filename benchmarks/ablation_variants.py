"""The rows of the ablation: what each changes in the run document, most wanted first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Literal

BASE: dict[str, Any] = {
    "model.hidden": 96,
    "model.layers": 3,
    "model.heads": 3,
    "model.kv_heads": 1,
    "model.head_dim": 32,
    "model.intermediate": 256,
    "model.context": 128,
    "tokenizer.merges": 3839,
    "inner.batch_tokens": 256,
    "rounds.inner_steps": 20,
}
"""Sizes. All that is not named here, below or in a row is the run document's default."""
REFERENCE: dict[str, Any] = {
    "inner.lr": 5e-3,
    "inner.matrix_lr": 5e-3,
    "inner.beta2": 0.95,
    "update.outer.lr": 1.2,
    "update.outer.embedding_lr": sqrt(6),
    "comparison.pooled_lr": 5e-3,
    "comparison.pooled_matrix_lr": 5e-3,
}
"""The recipe that rows vary: rates of one pooled model, with outer rates that suit them. It was
the default until rows of this table gave a better one."""


@dataclass(frozen=True)
class Arm:
    """One row.

    `changes` are paths of the run document with their values; `group` names the rows that are
    compared with one another, because their pooled arms see the same number of tokens.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["federation", "pooled"] = "federation"
    text: Literal["own", "shuffled"] = "own"
    group: str = ""
    warm_steps: int = 0
    """Steps that are trained pooled first; the rounds then take the rest."""


def pooled(name: str, rate: float, group: str = "", **changes: Any) -> Arm:
    rates = {"comparison.pooled_lr": rate, "comparison.pooled_matrix_lr": rate}
    return Arm(name, {**rates, **changes}, kind="pooled", group=group)


def outer(rate: float, embedding: float, **more: Any) -> dict[str, Any]:
    named = {f"update.outer.{name}": value for name, value in more.items()}
    return {"update.outer.lr": rate, "update.outer.embedding_lr": embedding, **named}


def inner(rate: float, matrix_rate: float, **more: Any) -> dict[str, Any]:
    named = {f"inner.{name}": value for name, value in more.items()}
    return {"inner.lr": rate, "inner.matrix_lr": matrix_rate, **named}


MATRIX_RATE, OUTER = "inner.matrix_lr", "update.outer.lr"
ADAMW = {"inner.optimizer": "adamw"}
SLOW = {**inner(2.5e-3, 2.5e-3), **outer(2.4, 4.9)}
FALLING = {"rounds.first_inner_steps": 35, "rounds.inner_steps": 5, "rounds.count": 30}
LONG_MEMORY = {**SLOW, "inner.beta2": 0.99}
LATE = {"update.outer.late_share": 0.2, "update.outer.late_factor": 0.5}
BUFFERS = {"inner.state.mode": "averaged", "inner.state.codec": "int8"}
BOTH_FP32 = {"update.codec": "fp32", "update.down_codec": "fp32"}
FRAGMENTS_2 = {"rounds.fragments": 2, "rounds.inner_steps": 10}
FRAGMENTS_4 = {"rounds.fragments": 4, "rounds.inner_steps": 5}
"""Every tensor still travels once in 20 steps."""

ARMS = (
    Arm("reference"),
    pooled("pooled Muon, rate 0.005", 5e-3),
    pooled("pooled Muon, rate 0.007", 7e-3),
    pooled("pooled Muon, rate 0.0035", 3.5e-3),
    Arm("H = 5", {"rounds.inner_steps": 5}),
    Arm("H = 50", {"rounds.inner_steps": 50}),
    Arm("inner state: local", {"inner.state.mode": "local"}),
    Arm("updates in fp32, up and down", BOTH_FP32),
    Arm("outer rate of the body 1.0", {"update.outer.lr": 1.0}),
    Arm("outer rate of the body 1.6", {"update.outer.lr": 1.6}),
    Arm("outer rate of the embedding 1.0", {"update.outer.embedding_lr": 1.0}),
    Arm("outer rate of the embedding 3.0", {"update.outer.embedding_lr": 3.0}),
    pooled("pooled AdamW, rate 0.005", 5e-3, **ADAMW),
    pooled("pooled AdamW, rate 0.003", 3e-3, **ADAMW),
    Arm("AdamW inside, outer rate √6", {**ADAMW, **outer(sqrt(6), sqrt(6))}),
    Arm("RDA, outer rate of the body 1.0", {"update.merge": "rda", "update.outer.lr": 1.0}),
    Arm("updates sparse", {"update.codec": "sparse"}),
    Arm("outer momentum 0.5, outer rates halved", outer(0.6, 1.0, momentum=0.5)),
    Arm("same text, shuffled over the members", text="shuffled"),
    Arm("inner state: whole second moment", {"inner.state.mode": "second_moment"}),
    Arm("inner rates 0.0035, outer 1.7 and 3.5", {**inner(3.5e-3, 3.5e-3), **outer(1.7, 3.5)}),
    Arm("slow inside: inner rates 0.0025, outer 2.4 and 4.9", SLOW),
    Arm("Muon inside at 0.0025, outer rate 2.4", {MATRIX_RATE: 2.5e-3, OUTER: 2.4}),
    Arm("inner rates 0.0017, outer 3.5 and 7.2", {**inner(1.7e-3, 1.7e-3), **outer(3.5, 7.2)}),
    Arm("slow inside, Muon momentum 0.95", {**SLOW, "inner.momentum": 0.95}),
    Arm("slow inside, Muon momentum 0.8", {**SLOW, "inner.momentum": 0.8}),
    Arm("inner rates 0.0025, outer 2.0 and 3.5", {**SLOW, **outer(2.0, 3.5)}),
    Arm("slow inside, fp32 up and down", {**SLOW, **BOTH_FP32}),
    Arm("slow inside, H falls from 35 to 5", {**SLOW, **FALLING}),
    Arm("default: slow inside, beta2 0.99", LONG_MEMORY),
    Arm("slow inside, beta2 0.999", {**SLOW, "inner.beta2": 0.999}),
    pooled("pooled Muon, beta2 0.99", 5e-3, **{"inner.beta2": 0.99}),
    pooled("pooled Muon, rate 0.0035, beta2 0.99", 3.5e-3, **{"inner.beta2": 0.99}),
    Arm("default, outer rates halved in the last fifth", {**LONG_MEMORY, **LATE}),
    Arm(
        "default, Muon's buffers averaged, outer rate 1.4",
        {**LONG_MEMORY, **BUFFERS, OUTER: 1.4},
    ),
    Arm(
        "default, Muon's buffers averaged, outer rate 0.9",
        {**LONG_MEMORY, **BUFFERS, OUTER: 0.9},
    ),
    Arm(
        "default, embedding's inner rate 0.0035, outer 3.5",
        {**LONG_MEMORY, **inner(3.5e-3, 2.5e-3), **outer(2.4, 3.5)},
    ),
    pooled("pooled Muon, 512 tokens", 5e-3, group="512", **{"inner.batch_tokens": 512}),
    Arm("512 tokens per member and step", {"inner.batch_tokens": 512}, group="512"),
    Arm("inner state: all moments averaged", {"inner.state.mode": "averaged"}),
    Arm("embedding rows by token counts", {"update.rows": "token_counts"}),
    Arm("warm start: first fifth pooled", warm_steps=120),
    Arm(
        "H grows from 5 to 35",
        {"rounds.first_inner_steps": 5, "rounds.inner_steps": 35, "rounds.count": 30},
    ),
    Arm(
        "outer rates halved in the last fifth",
        {"update.outer.late_share": 0.2, "update.outer.late_factor": 0.5},
    ),
    Arm("softmax over the member's own vocabulary", {"inner.vocabulary": "seen"}),
    Arm("outer Adam, rate 0.01", outer(0.01, 0.01, optimizer="adam")),
    Arm("outer rate of the body 2.0", {"update.outer.lr": 2.0}),
    Arm("two fragments of H = 20", FRAGMENTS_2),
    Arm("four fragments of H = 20", FRAGMENTS_4),
    Arm("slow inside, two fragments of H = 20", {**SLOW, **FRAGMENTS_2}),
    Arm("slow inside, four fragments of H = 20", {**SLOW, **FRAGMENTS_4}),
    Arm("reference, seed 1", {"seed": 1}, group="seed 1"),
    pooled("pooled Muon, rate 0.005, seed 1", 5e-3, group="seed 1", seed=1),
)

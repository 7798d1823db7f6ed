"""The sections of a run document, each checked by itself.

Every default is a value measured in `docs/benchmarks/` or marked "assumption". What does not go
together across sections stands in `run_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from concord.charter.document import Document, ExactFraction, Identifier, Positive, Share

MergeRule = Literal[
    "mean",
    "rda",
    "centred_clipping",
    "geometric_median",
    "trimmed_mean",
    "coordinate_median",
    "krum",
    "multi_krum",
    "nnm_trimmed_mean",
]
PLAIN_RULES: tuple[MergeRule, ...] = ("mean", "rda")
"""All others are robust rules: one update is one vote."""
CodecName = Literal["fp32", "bf16", "int8", "int4", "sparse", "ring16", "ring32"]
Mode = Literal["open", "sealed"]
RINGS: Mapping[str, int] = MappingProxyType({"ring16": 16, "ring32": 32})
"""Bits of a sealed value, by codec."""


class RosterMember(Document):
    """A member as the run knows it. Its weight comes from the charter, never from the member."""

    id: Identifier
    owner: str = ""
    """Legal owner; the influence cap holds per owner. Empty means the member itself."""
    weight: ExactFraction = Fraction(1)
    languages: tuple[str, ...] = ()
    """Its languages, as the files of the parallel set are named; used in parity mode."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.weight <= 0:
            raise ValueError("weight must be above 0")
        return self


class UseSpec(Document):
    """What the model is made for: what members' policies are asked about."""

    purpose: Identifier = "public-interest"
    """What the model is for, by a name that the members agree on."""
    stage: Identifier = "pretraining"
    """Where in the making of a model the run stands, such as `pretraining` or `expert`."""
    model_licence: Annotated[str, Field(min_length=1, max_length=64)] = "Apache-2.0"
    """Licence of the released model, as SPDX names it; one that the charter lists."""


class ModelSpec(Document):
    """A new network of a QK-norm Llama-family architecture, or a model folder to continue from."""

    architecture: Literal["qwen3"] = "qwen3"
    hidden: Positive = 128
    layers: Positive = 4
    heads: Positive = 4
    kv_heads: Positive = 2
    head_dim: Positive = 32
    intermediate: Positive = 384
    context: Annotated[int, Field(ge=8)] = 128
    """Tokens a sample holds."""
    continue_from: str | None = None
    """Folder of any causal language model; its architecture and tokenizer are kept."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError("heads must be a multiple of kv_heads")
        if self.head_dim % 2:
            raise ValueError("head_dim must be even (rotary positions)")
        return self


class TokenizerSpec(Document):
    """How the shared tokenizer is learned from pair counts."""

    mode: Literal["parity", "ordinary"] = "parity"
    merges: Annotated[int, Field(ge=0)] = 3840
    sample_bytes: Positive = 4_000_000
    """Bytes of its text from which a member counts pairs."""
    min_pair_count: Positive = 2
    parallel: str | None = "parallel"
    """Folder of the parallel set, from the federation's folder: one file per language, the same
    sentences line by line. Public; needed in parity mode."""


class StateSync(Document):
    """Which inner optimiser state travels with the update, and how."""

    mode: Literal["local", "averaged", "second_moment", "second_moment_rows"] = "second_moment_rows"
    """`second_moment_rows`: one mean per row of AdamW's second moment."""
    every_rounds: Positive = 1
    codec: Literal["fp32", "bf16", "int8", "int4"] = "fp32"


class InnerSpec(Document):
    """The inner loop: what a member does between two rounds."""

    optimizer: Literal["adamw", "muon"] = "muon"
    lr: Annotated[float, Field(gt=0)] = 2.5e-3
    """AdamW's peak rate: for everything with `adamw`, for embeddings and norms with `muon`."""
    matrix_lr: Annotated[float, Field(gt=0)] = 2.5e-3
    """Muon's peak rate for body matrices, at the scale 0.2·√max(rows, columns)."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.99
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    batch_tokens: Positive = 512
    """Tokens of one inner step at one member."""
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    decay_share: Share = 0.3
    """Last share of the global steps, in which the rate falls to zero."""
    decay_shape: Literal["linear", "one_minus_sqrt"] = "linear"
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    z_loss: Annotated[float, Field(ge=0)] = 1e-4
    goldfish_k: Annotated[int, Field(ge=0)] = 0
    """Drop one target in k from the loss; 0 keeps all."""
    goldfish_context: Positive = 13
    precision: Literal["fp32", "bf16"] = "bf16"
    vocabulary: Literal["full", "seen"] = "full"
    """`seen` restricts a member's softmax to tokens of its own text (for comparison)."""
    state: StateSync = StateSync()


class RoundsSpec(Document):
    """How many rounds, of how many steps, and when a round may close."""

    count: Positive = 150
    inner_steps: Positive = 20
    first_inner_steps: Positive | None = None
    """If set, rounds grow linearly from this many steps to `inner_steps`."""
    pace: Literal["equal", "by_speed"] = "equal"
    """`by_speed`: who is slower than the quorum takes fewer steps, so that all finish together,
    and weighs as much less."""
    overlap_steps: Annotated[int, Field(ge=0)] = 0
    """Steps of the next round that a member takes from its own weights while its update travels
    and the new base comes back; with 0 it waits."""
    overlap_blend: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of its own weights that a member keeps when the new base arrives after them; times the
    largest outer rate, at most 1."""
    fragments: Annotated[int, Field(ge=1, le=64)] = 1
    """Parts of the model that travel in turn, one each round: a member keeps its own weights of the
    others. A whole turn takes as many rounds of `inner_steps`."""
    quorum: ExactFraction = Fraction(1, 2)
    """Share of the roster, rounded up, whose accepted updates allow a round to close."""
    grace_share: Annotated[float, Field(ge=0)] = 0.5
    """After the quorum, wait for the others this share of the round's time so far."""
    min_grace_s: Annotated[float, Field(ge=0)] = 2.0
    stall_s: Annotated[float, Field(gt=0)] = 3600.0
    """Without a quorum after this long, the run stops with its last committed round intact."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not 0 < self.quorum <= 1:
            raise ValueError("quorum must be above 0 and at most 1")
        fewest = min(self.inner_steps, self.first_inner_steps or self.inner_steps)
        if self.overlap_steps >= fewest:
            raise ValueError(
                f"overlap_steps must be below the {fewest} steps of a round: the others start from"
                " the new base"
            )
        if self.overlap_blend and not self.overlap_steps:
            raise ValueError("overlap_blend needs overlap_steps: without them there is no overlap")
        if self.fragments > self.count:
            raise ValueError(
                f"fragments must be at most count: {self.count} rounds move {self.count} of"
                f" {self.fragments}"
            )
        return self


class OuterSpec(Document):
    """The outer step on the merged update."""

    optimizer: Literal["nesterov", "adam"] = "nesterov"
    lr: Annotated[float, Field(gt=0)] | None = None
    """None takes the square root of the number of members: near orthogonal updates shrink by as
    much in their mean."""
    embedding_lr: Annotated[float, Field(gt=0)] | None = None
    """Rate for embedding and head; None takes twice the square root of the number of members."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    late_share: Share = 0.0
    """Last share of the rounds, in which the rate is multiplied by `late_factor`."""
    late_factor: Annotated[float, Field(gt=0, le=1)] = 0.5


class UpdateSpec(Document):
    """How updates are encoded, screened, weighted and merged."""

    codec: CodecName = "int4"
    down_codec: Literal["fp32", "bf16", "int8", "int4", "sparse"] = "int4"
    merge: MergeRule = "mean"
    hostile: Annotated[int, Field(ge=1, lt=2**16)] = 1
    """How many hostile updates a robust rule is to stand in a round."""
    rows: Literal["uniform", "token_counts"] = "uniform"
    """`token_counts` averages each embedding row by how often each member met its token."""
    norm_control: Literal["none", "clip_to_median", "scale_to_median", "clip_groups"] = "none"
    clip_ratio: Annotated[float, Field(ge=1)] = 1.5
    """`clip_groups`: largest norm of a group of tensors, as a ratio to its running median."""
    min_norm_ratio: Annotated[float, Field(ge=0)] = 0.25
    max_norm_ratio: Annotated[float, Field(gt=0)] = 4.0
    """Bounds of an update's norm, as a ratio to the running median of accepted norms."""
    late: Literal["refuse", "correct"] = "refuse"
    """`correct`: an update that comes one round late enters the next one, turned towards the outer
    momentum."""
    owner_cap: ExactFraction = Fraction(1)
    """Largest share of the merge weight that one legal owner may have."""
    outer: OuterSpec = OuterSpec()


class GateSpec(Document):
    """The probe gate: what each update does to public texts, before it is merged."""

    enabled: bool = False
    """Whether every round is measured. Needs the parallel set, and languages in the roster."""
    lines: Positive = 8
    """Lines of the parallel set per language, of those that no tokenizer was learned on."""
    harm: Annotated[float, Field(gt=0)] = 0.03
    """Nats per token, mean over languages: an update without which the round would be better by
    more than this is left out of it."""


class SealSpec(Document):
    """Sealed mode: nobody sees one member's update, only the sum over its cohort.

    The rest of the document has to keep its restrictions, see `check_mode`.
    """

    min_survivors: Annotated[int, Field(ge=3, le=16)] = 5
    """Least members of a cohort whose updates make a sum. 3 or 4 only if written here: such a sum
    protects against outsiders and a coordinator acting alone, and not against the other members."""
    cohort_target: Annotated[int, Field(ge=3, le=12)] = 8
    """Members per cohort; a roster of twice as many is divided."""
    epoch_days: Positive = 30
    """Days after which keys are made and cohorts drawn anew; long ones leak less."""
    min_contributors: Annotated[int, Field(ge=3, le=64)] = 3
    """Members that must declare a token's language; with fewer, its vocabulary rows are left out
    of the round and stay as they are."""
    tokenizer: bool = True
    """Members' counts for the tokenizer are sealed too: one sum over a public list of merges. False
    has them sent in clear, pair by pair."""
    leak_limit: Share = 1.0
    """Largest leak score (docs/sealed.md) at which a member still takes part; at 1 it always does.
    Seven absences in 57 rounds of eight members take a member over 0.4."""
    leak_constancy: Share = 0.2
    """Share of an update that is taken to stay the same from round to round, for that score."""
    lone_languages: dict[str, Annotated[int, Field(ge=1, le=64)]] = {}  # noqa: RUF012 - copied
    """Languages, by name, for which fewer contributors are enough. What one member alone declares
    is not hidden by a sum: others can read it."""


class EvaluationSpec(Document):
    """What members measure on their own held-out text."""

    every_rounds: Annotated[int, Field(ge=0)] = 25
    """0 evaluates only the final base."""
    heldout_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    max_bytes: Positive = 200_000
    """Held-out bytes scored per member and evaluation."""


class ComparisonSpec(Document):
    """What `concord run --compare` trains beside the federation, at equal total tokens.

    Both arms are tuned with the effort of the shared model: the rates found go here.
    """

    pooled_lr: Annotated[float, Field(gt=0)] | None = None
    """None takes twice the rate of `inner`, here and below: steps that are not averaged afterwards
    were measured to want about as much."""
    pooled_matrix_lr: Annotated[float, Field(gt=0)] | None = None
    alone_lr: Annotated[float, Field(gt=0)] | None = None
    alone_matrix_lr: Annotated[float, Field(gt=0)] | None = None
    sovereign_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the member's training tokens that its sovereign build continues for."""
    sovereign_rate: Annotated[float, Field(gt=0, le=1)] = 0.4
    """The sovereign build's peak rates, relative to those of `inner`."""

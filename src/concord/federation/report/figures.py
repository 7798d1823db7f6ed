"""The figures of a report, each a pure function of its sums: anyone can compute them again.

The mean over everyone's text is the plain mean of the members' bits per byte, so that a member
with little text counts as much as one with much. A figure whose sums are missing is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import Field

from concord.base.fairness import gini, premiums
from concord.charter.document import Document
from concord.federation.messages import Count, Name
from concord.federation.report.parts import (
    ALONE,
    POOLED,
    SHARED,
    SOVEREIGN,
    Evidence,
    FactCounts,
    Label,
    ModelName,
    ParallelCount,
    Sums,
    alone,
    sovereign,
)

FP32_BYTES = 4
EQUAL_TOKENS_TOLERANCE = 0.001
"""Arms whose tokens differ by less than this share (a last partial batch) count as equal."""


class ModelFigures(Document):
    """One row of the matrix."""

    mean_bpb: float | None
    """Mean over everyone's text: what this model knows of the world. None if a text is missing."""
    ratio_to_pooled: float | None
    worst_text: Name
    worst_bpb: float


class MemberFigures(Document):
    """What one member got, and what it sent."""

    shared_bpb: float | None
    """Bits per byte on the member's own held-out text, by model."""
    pooled_bpb: float | None
    alone_bpb: float | None
    sovereign_bpb: float | None
    shared_against_alone: float | None
    """Ratios of the above: below 1, the member gained on its own text."""
    sovereign_against_alone: float | None
    alone_world_bpb: float | None
    """Its alone model on everyone's text."""
    rounds_joined: Count
    rounds_missed: Count
    bytes_up: Count
    bytes_down: Count
    bytes_up_per_parameter_round: float | None
    """All it sent in rounds, per parameter and round joined."""
    bytes_down_per_parameter_round: float | None
    """All it received in rounds, per parameter and round of the run."""


class Worst(Document):
    """The member that a measure treats worst."""

    member: Name
    value: float


class FactFigures(Document):
    """Share of facts known, over all members together."""

    own_share: float | None
    others_share: float | None


class CostFigures(Document):
    """Bytes that crossed members' boundaries in rounds; the tokenizer is counted by itself."""

    bytes_up: Count
    bytes_down: Count
    bytes_up_per_parameter_round: float | None
    bytes_down_per_parameter_round: float | None
    fp32_ratio_up: float | None
    """How many times fewer bytes than sending every parameter as fp32."""
    tokenizer_bytes_up: Count
    tokenizer_bytes_down: Count


class TimeFigures(Document):
    """Where the time of the rounds went."""

    rounds: Count
    rounds_s: float
    training_s: float
    overhead_share: float | None
    """Share of the rounds' time in which no member was training."""
    tokens: Count
    tokens_per_s: float | None
    flops: float


class TokenizerFigures(Document):
    """How evenly a tokenizer treats languages, on the same sentences in each."""

    premium: dict[Label, float]
    """Tokens for the same sentences, relative to the language that needs fewest."""
    max_over_min: float
    gini: float
    """Of tokens per language: 0 means all the same."""
    tokens: Count


class Figures(Document):
    """All figures of a report."""

    models: dict[ModelName, ModelFigures]
    members: dict[Name, MemberFigures]
    alone_own_mean_bpb: float | None
    """Mean of the alone models, each on its own text."""
    alone_world_mean_bpb: float | None
    """Mean of the alone models, each on everyone's text."""
    alone_world_ratio_to_pooled: float | None
    sovereign_own_mean_bpb: float | None
    worst_shared: Worst | None
    """Largest bits per byte of the shared model."""
    worst_against_alone: Worst | None
    """Largest ratio shared / alone, on own text."""
    worst_sovereign: Worst | None
    """Largest ratio sovereign / alone, on own text."""
    facts: dict[str, FactFigures] = Field(default_factory=dict)
    """By kind of model."""
    cost: CostFigures
    time: TimeFigures
    tokenizer: TokenizerFigures | None
    ordinary_tokenizer: TokenizerFigures | None
    tokens_equal: bool | None
    """Shared, pooled and the alone arms (each, or all together) trained on equally many tokens."""


def derive_figures(evidence: Evidence) -> Figures:
    """Compute every figure from the sums."""
    ids = [member.id for member in evidence.members]
    members = {member: _member_figures(evidence, member) for member in ids}
    models = _model_figures(evidence.matrix, ids)
    pooled_mean = models[POOLED].mean_bpb if POOLED in models else None
    world = _mean_or_none(figure.alone_world_bpb for figure in members.values())
    learned = evidence.tokenizer
    return Figures(
        models=models,
        members=members,
        alone_own_mean_bpb=_mean_or_none(figure.alone_bpb for figure in members.values()),
        alone_world_mean_bpb=world,
        alone_world_ratio_to_pooled=_ratio(world, pooled_mean),
        sovereign_own_mean_bpb=_mean_or_none(figure.sovereign_bpb for figure in members.values()),
        worst_shared=_worst({m: f.shared_bpb for m, f in members.items()}),
        worst_against_alone=_worst({m: f.shared_against_alone for m, f in members.items()}),
        worst_sovereign=_worst({m: f.sovereign_against_alone for m, f in members.items()}),
        facts=_fact_figures(evidence.facts or {}),
        cost=_cost_figures(evidence, members),
        time=_time_figures(evidence),
        tokenizer=tokenizer_figures(learned.parallel) if learned is not None else None,
        ordinary_tokenizer=tokenizer_figures(learned.ordinary) if learned is not None else None,
        tokens_equal=_tokens_equal(evidence),
    )


def mean_bits_per_byte(row: Mapping[str, Sums], members: Iterable[str]) -> float | None:
    """Plain mean of a model's bits per byte over the members' texts; None if one is missing."""
    return _mean_or_none(row[member].bits_per_byte if member in row else None for member in members)


def _model_figures(
    matrix: Mapping[str, Mapping[str, Sums]], members: list[str]
) -> dict[str, ModelFigures]:
    pooled = mean_bits_per_byte(matrix.get(POOLED, {}), members)
    figures = {}
    for model, row in matrix.items():
        if not row:
            continue
        mean = mean_bits_per_byte(row, members)
        worst_text = max(sorted(row), key=lambda text: row[text].bits_per_byte)
        figures[model] = ModelFigures(
            mean_bpb=mean,
            ratio_to_pooled=_ratio(mean, pooled),
            worst_text=worst_text,
            worst_bpb=row[worst_text].bits_per_byte,
        )
    return figures


def _member_figures(evidence: Evidence, member: str) -> MemberFigures:
    matrix, rounds = evidence.matrix, evidence.rounds
    own = {
        kind: row[member].bits_per_byte
        for kind, model in (
            (SHARED, SHARED),
            (POOLED, POOLED),
            (ALONE, alone(member)),
            (SOVEREIGN, sovereign(member)),
        )
        if member in (row := matrix.get(model, {}))
    }
    joined = sum(member in part.participants for part in rounds)
    up = sum(part.bytes_up.get(member, 0) for part in rounds)
    down = sum(part.bytes_down.get(member, 0) for part in rounds)
    parameters = evidence.card.parameters
    everyone = [other.id for other in evidence.members]
    return MemberFigures(
        shared_bpb=own.get(SHARED),
        pooled_bpb=own.get(POOLED),
        alone_bpb=own.get(ALONE),
        sovereign_bpb=own.get(SOVEREIGN),
        shared_against_alone=_ratio(own.get(SHARED), own.get(ALONE)),
        sovereign_against_alone=_ratio(own.get(SOVEREIGN), own.get(ALONE)),
        alone_world_bpb=mean_bits_per_byte(matrix.get(alone(member), {}), everyone),
        rounds_joined=joined,
        rounds_missed=len(rounds) - joined,
        bytes_up=up,
        bytes_down=down,
        bytes_up_per_parameter_round=_ratio(up, parameters * joined),
        bytes_down_per_parameter_round=_ratio(down, parameters * len(rounds)),
    )


def _fact_figures(facts: Mapping[str, Mapping[str, FactCounts]]) -> dict[str, FactFigures]:
    by_kind: dict[str, list[FactCounts]] = {}
    for model, row in sorted(facts.items()):
        by_kind.setdefault(model.partition("/")[0], []).extend(row.values())
    return {
        kind: FactFigures(
            own_share=_share(sum(c.own_known for c in counts), sum(c.own_total for c in counts)),
            others_share=_share(
                sum(c.others_known for c in counts), sum(c.others_total for c in counts)
            ),
        )
        for kind, counts in by_kind.items()
    }


def _cost_figures(evidence: Evidence, members: Mapping[str, MemberFigures]) -> CostFigures:
    up = sum(figure.bytes_up for figure in members.values())
    down = sum(figure.bytes_down for figure in members.values())
    joined = sum(figure.rounds_joined for figure in members.values())
    parameters = evidence.card.parameters
    tokenizer = evidence.tokenizer
    return CostFigures(
        bytes_up=up,
        bytes_down=down,
        bytes_up_per_parameter_round=_ratio(up, parameters * joined),
        bytes_down_per_parameter_round=_ratio(
            down, parameters * len(evidence.rounds) * len(members)
        ),
        fp32_ratio_up=_ratio(FP32_BYTES * parameters * joined, up),
        tokenizer_bytes_up=sum(tokenizer.bytes_up.values()) if tokenizer is not None else 0,
        tokenizer_bytes_down=sum(tokenizer.bytes_down.values()) if tokenizer is not None else 0,
    )


def _time_figures(evidence: Evidence) -> TimeFigures:
    rounds = evidence.rounds
    rounds_s = sum(part.seconds for part in rounds)
    training_s = sum(
        part.training_s
        if part.training_s is not None
        else max(part.train_s.values(), default=part.seconds)
        for part in rounds
    )
    tokens = sum(part.tokens for part in rounds)
    return TimeFigures(
        rounds=len(rounds),
        rounds_s=rounds_s,
        training_s=training_s,
        overhead_share=max(0.0, 1 - training_s / rounds_s) if rounds_s else None,
        tokens=tokens,
        tokens_per_s=tokens / rounds_s if rounds_s else None,
        flops=sum(part.flops for part in rounds),
    )


def tokenizer_figures(counts: Mapping[str, ParallelCount]) -> TokenizerFigures | None:
    if not counts:
        return None
    tokens = {language: count.tokens for language, count in counts.items()}
    premium = premiums(tokens)
    return TokenizerFigures(
        premium=premium,
        max_over_min=max(premium.values()),
        gini=gini(tokens.values()),
        tokens=sum(tokens.values()),
    )


def _tokens_equal(evidence: Evidence) -> bool | None:
    arms = evidence.arms
    alone_tokens = [arm.tokens for model, arm in arms.items() if model.startswith(f"{ALONE}/")]
    if SHARED not in arms or not (POOLED in arms or alone_tokens):
        return None
    reference = arms[SHARED].tokens
    pooled_equal = POOLED not in arms or _near(arms[POOLED].tokens, reference)
    each_equal = all(_near(tokens, reference) for tokens in alone_tokens)
    return pooled_equal and (each_equal or _near(sum(alone_tokens), reference))


def _near(found: int, reference: int) -> bool:
    return abs(found - reference) <= EQUAL_TOKENS_TOLERANCE * reference


def _mean_or_none(values: Iterable[float | None]) -> float | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None


def _ratio(value: float | None, reference: float | None) -> float | None:
    return value / reference if value is not None and reference else None


def _share(known: int, total: int) -> float | None:
    return known / total if total else None


def _worst(values: Mapping[str, float | None]) -> Worst | None:
    known = {member: value for member, value in sorted(values.items()) if value is not None}
    if not known:
        return None
    member = max(known, key=lambda name: known[name])
    return Worst(member=member, value=known[member])

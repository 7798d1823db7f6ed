"""The run document that `concord init` writes: TOML for people, with a word on each choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from concord.federation.folders import toml_string


@dataclass(frozen=True)
class Rates:
    """Rates of a run whose rounds are much shorter than the default's."""

    inner: float
    """AdamW's and Muon's, in the federation and in the models it is compared with."""
    outer: float
    outer_embedding: float
    sovereign: float


@dataclass(frozen=True)
class RunChoices:
    """What `init` and `demo` decide; everything else keeps its default and is not written."""

    name: str
    members: Sequence[str]
    languages: Mapping[str, Sequence[str]]
    seed: int = 0
    rounds: int = 150
    inner_steps: int = 20
    merges: int = 4096
    parity: bool = True
    batch_tokens: int = 512
    warmup_steps: int = 100
    evaluate_every: int = 25
    evaluate_bytes: int = 200_000
    layers: int = 4
    hidden: int = 128
    sample_bytes: int = 4_000_000
    owner_cap: str = "1"
    """Largest share of the merge weight of one legal owner; the charter's."""
    clip: bool = False
    """Whether louder updates are clipped to the running median."""
    rates: Rates | None = None
    continue_from: str | None = None
    sealed: bool = False
    thin: bool = False
    """Whether members have thin links: sparse updates both ways."""
    min_survivors: int | None = None
    """Least members of a sealed sum; None is the usual minimum."""


def run_toml(choices: RunChoices) -> str:
    """The text of `runs/<name>.toml`."""
    lines = [
        "# One training run. Unknown keys are refused; what is not written has its default",
        "# (docs/run-document.md lists all of them).",
        f"name = {toml_string(choices.name)}",
        f"seed = {choices.seed}",
        "",
        "# Who takes part. A member's text is named in members/<id>/member.toml, never here.",
    ]
    for member in choices.members:
        lines += ["[[roster]]", f"id = {toml_string(member)}"]
        if choices.languages.get(member):
            quoted = ", ".join(toml_string(code) for code in choices.languages[member])
            lines.append(f"languages = [{quoted}]")
        lines.append("")
    lines += ["[model]"]
    if choices.continue_from is not None:
        lines.append(f"continue_from = {toml_string(choices.continue_from)}")
    else:
        lines += [f"hidden = {choices.hidden}", f"layers = {choices.layers}"]
    lines += [
        "",
        "[tokenizer]",
        "# parity: each merge goes to the language that is compressed worst",
        f'mode = "{"parity" if choices.parity else "ordinary"}"',
        f"merges = {choices.merges}",
        f"sample_bytes = {choices.sample_bytes}",
        "",
        "[inner]",
        f"batch_tokens = {choices.batch_tokens}",
        f"warmup_steps = {choices.warmup_steps}",
        *_inner_rates(choices.rates),
        "",
        "[rounds]",
        f"count = {choices.rounds}",
        "# steps that each member takes between two exchanges",
        f"inner_steps = {choices.inner_steps}",
        "# share of the members whose updates allow a round to close",
        'quorum = "1/2"',
        "",
        "[evaluation]",
        f"every_rounds = {choices.evaluate_every}",
        f"max_bytes = {choices.evaluate_bytes}",
        "",
    ]
    lines += [
        "[update]",
        "# largest share of the merge that one legal owner may have; the charter allows no more",
        f"owner_cap = {toml_string(choices.owner_cap)}",
        *_ring(choices),
        *_thin(choices),
        *_clip(choices),
        "",
    ]
    return "\n".join([*lines, *_seal(choices), *_other_rates(choices.rates)])


def _ring(choices: RunChoices) -> list[str]:
    if not choices.sealed:
        return []
    return ["# integers of one length, which add up exactly under their masks", 'codec = "ring16"']


def _thin(choices: RunChoices) -> list[str]:
    """Feedback takes the place of outer momentum: the run document refuses both together."""
    if not choices.thin:
        return []
    return [
        "# thin links (docs/links.md): 64 of 4,096 values up, in 2 bits; 256 of 4,096 down, in 4;",
        "# what is left out is sent later, which takes the place of outer momentum",
        'codec = "sparse"',
        'down_codec = "sparse"',
    ]


def _seal(choices: RunChoices) -> list[str]:
    if not choices.sealed:
        return []
    least = choices.min_survivors
    return [
        "[seal]",
        "# nobody sees one member's update, only sums (docs/sealed-runs.md)",
        *([] if least is None else [f"min_survivors = {least}"]),
        "# rows of a language that fewer than 3 members declare stay untrained unless it is named:",
        "# lone_languages = { xx = 1 }",
        "",
    ]


def _clip(choices: RunChoices) -> list[str]:
    if not choices.clip:
        return []
    return [
        "# updates louder than 1.5 times the usual are turned down (docs/hostile.md)",
        'norm_control = "clip_groups"',
    ]


def _inner_rates(rates: Rates | None) -> list[str]:
    if rates is None:
        return []
    return [
        "# short rounds: what steps add in noise is soon averaged away",
        f"lr = {rates.inner}",
        f"matrix_lr = {rates.inner}",
    ]


def _other_rates(rates: Rates | None) -> list[str]:
    if rates is None:
        return []
    compared = ("pooled_lr", "pooled_matrix_lr", "alone_lr", "alone_matrix_lr")
    return [
        "[update.outer]",
        "# short rounds: body updates stay nearly orthogonal, and their mean is short",
        f"lr = {rates.outer}",
        f"embedding_lr = {rates.outer_embedding}",
        "",
        "[comparison]",
        *(f"{key} = {rates.inner}" for key in compared),
        f"sovereign_rate = {rates.sovereign}",
        "",
    ]

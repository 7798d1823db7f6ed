"""The charter document, as data: organs, voting rules, limits, oversight. Frozen, no unknown keys.

Written by people as `charter/charter.toml`, bound by the digest of its bundle (`bundle`). Shares
are exact; a plain share such as "1/4" means at least that much, `{over = "1/2"}` more than it.
`docs/charter.md` explains every field.
"""

from __future__ import annotations

import tomllib
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, ValidationError, model_validator

from concord.base.errors import CharterError
from concord.charter.document import Document, ExactFraction, Identifier, Positive, describe
from concord.charter.fields import Duration, Flops, Text, Threshold
from concord.charter.gates import Gate
from concord.charter.paths import covers, flat, is_file_path
from concord.charter.rules import Rule
from concord.charter.run_sections import PLAIN_RULES, MergeRule

Mode = Literal["open", "sealed"]
Statement = Literal[
    "identity_key", "legal_owner", "jurisdiction", "speakers", "population", "charter_signature"
]


class Kind(StrEnum):
    """What a proposal is about. Every kind has its rule."""

    ORDINARY = "ordinary"
    RUN = "run"
    RELEASE = "release"
    AMEND = "amend"
    ADMIT = "admit"
    EXPEL = "expel"
    SUSPEND = "suspend"
    LIFT_HALT = "lift-halt"


class Organs(Document):
    """Who acts, in words."""

    members: Text
    oversight: Text
    coordinator: Text


class Rights(Document):
    """What every member keeps, in words; and the licences that make a release open."""

    leave: Text
    own_data: Text
    open_result: Text
    licences: Annotated[tuple[Text, ...], Field(min_length=1, max_length=32)]
    """Licences, as SPDX names, under which a release may appear."""


class Members(Document):
    """How one becomes a member."""

    application: Annotated[tuple[Statement, ...], Field(min_length=1)]
    """What an application must state. `charter_signature` is its signature on this charter."""
    probation_rounds: Annotated[int, Field(ge=0, le=10_000)]
    """Rounds in which a new member trains, without a vote."""
    probation_weight: ExactFraction
    """What its update counts meanwhile, as a share of a full member's."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not 0 < self.probation_weight <= 1:
            raise ValueError("probation_weight must be above 0 and at most 1")
        return self


class Influence(Document):
    """How much one legal owner may count in a merge."""

    owner_cap: ExactFraction
    """Largest share of the merge that one legal owner may have, in every round."""
    merge_rules: Annotated[tuple[MergeRule, ...], Field(min_length=1)] = PLAIN_RULES
    """Merge rules that a run may use. Robust ones cost honest members with a language of their own
    more than most attacks do: see `docs/hostile.md` before naming one."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not 0 < self.owner_cap <= 1:
            raise ValueError("owner_cap must be above 0 and at most 1")
        return self


class Rounds(Document):
    """When a round counts."""

    quorum: ExactFraction
    """Least share of the roster, rounded up, whose updates a round needs."""
    min_members: Positive
    """Least number of members whose updates a round needs."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not 0 < self.quorum <= 1:
            raise ValueError("quorum must be above 0 and at most 1")
        return self

    def needed(self, roster: int) -> int:
        """Accepted updates that a round of so many members needs."""
        return max(self.min_members, -int(-self.quorum * roster // 1))


class Log(Document):
    """How sure a reader must be that all see the same history."""

    witness_quorum: Threshold
    """Share of the members' witnesses that must cosign a checkpoint."""
    max_head_age_s: Duration
    """A member whose log head is older treats the federation as halted."""
    clock_skew_s: Duration = 600
    """How far ahead of the reader's clock a statement may be dated."""
    witnessed_before_training: StrictBool = True
    """Whether a member trains only on a base whose record is under the witness quorum."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.max_head_age_s == 0:
            raise ValueError("max_head_age_s must be above 0, or nobody could ever train")
        return self


class Coordinator(Document):
    """The role that calls rounds; it has no vote of its own and sees no text."""

    takeover: Threshold
    """Share of the members who must sign that another takes the role."""


class Oversight(Document):
    """Who may stop everything, for how long. Every halt expires."""

    min_overseers: Annotated[int, Field(ge=0, le=100)]
    """Least number of overseers."""
    halt_members: Threshold
    """Share of the members who can halt all, as one overseer can."""
    halt_max_s: Duration
    """Longest halt by them, once per ground."""
    extend_overseers: Threshold
    """Share of the overseers who can extend a halt."""
    extend_max_s: Duration
    """Longest extension."""
    lift_overseers: Threshold
    """Share of the overseers who, beside a vote of kind lift-halt, lift a halt early."""


class Floor(Document):
    """Least protection of updates that every run must give; a member may ask for more."""

    modes: Annotated[tuple[Mode, ...], Field(min_length=1)]
    """Modes a run may use: `open`, updates are public; `sealed`, only their sum can be known."""


class Entrenched(Document):
    """What an ordinary amendment cannot touch."""

    rule: Identifier
    """The rule that can. This section and that rule are always entrenched."""
    paths: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    """Fields such as `rights` or `influence.owner_cap`, with all below them, and files such as
    `charter.cedar` or `law/`."""


class ComputeThreshold(Document):
    """Duties and majorities from an amount of joint compute on."""

    log10_flop: Flops
    """Decimal logarithm of the compute of all members and rounds of a model, in FLOP."""
    duties: Annotated[tuple[Identifier, ...], Field(max_length=64)] = ()
    """Duties, by name, that a release must show evidence of."""
    rule: Identifier | None = None
    """Rule for new runs and for releases, instead of the usual ones."""
    min_overseers: Annotated[int, Field(ge=0, le=100)] = 0
    """Least number of overseers from here on."""


class Charter(Document):
    """What the members signed."""

    name: Text
    version: Positive
    purpose: Text
    organs: Organs
    rights: Rights
    members: Members
    influence: Influence
    rounds: Rounds
    log: Log
    coordinator: Coordinator
    oversight: Oversight
    floor: Floor
    rule: Annotated[dict[Identifier, Rule], Field(min_length=1, max_length=32)]
    """Voting rules, by name."""
    uses: dict[Kind, Identifier]
    """The rule of each kind of proposal."""
    entrenched: Entrenched
    compute: Annotated[tuple[ComputeThreshold, ...], Field(max_length=16)] = ()
    """Thresholds, ascending."""
    gate: Annotated[tuple[Gate, ...], Field(max_length=64)] = ()
    """What a release must pass. No vote on a release waives a gate; an amendment changes it."""

    @model_validator(mode="after")
    def _names_lead_somewhere(self) -> Self:
        missing = [kind for kind in Kind if kind not in self.uses]
        if missing:
            raise ValueError(f"uses: no rule for {', '.join(missing)}")
        named = {f"uses.{kind}": rule for kind, rule in self.uses.items()}
        named["entrenched.rule"] = self.entrenched.rule
        for number, threshold in enumerate(self.compute):
            if threshold.rule is not None:
                named[f"compute.{number}.rule"] = threshold.rule
        for field, rule in named.items():
            if rule not in self.rule:
                raise ValueError(f"{field}: there is no rule {rule!r}")
        return self

    @model_validator(mode="after")
    def _thresholds_ascend(self) -> Self:
        marks = [threshold.log10_flop for threshold in self.compute]
        if marks != sorted(set(marks)):
            raise ValueError("compute: thresholds must ascend")
        return self

    @model_validator(mode="after")
    def _gates_have_own_names(self) -> Self:
        names = [gate.id for gate in self.gate]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"gate: {min(twice)!r} is there twice")
        return self

    def gate_named(self, name: str) -> Gate | None:
        """The gate of that name, if there is one."""
        return next((gate for gate in self.gate if gate.id == name), None)

    @model_validator(mode="after")
    def _entrenched_paths_exist(self) -> Self:
        fields = flat(self.model_dump(mode="json"))
        for path in self.entrenched.paths:
            if not is_file_path(path) and not any(covers(path, field) for field in fields):
                raise ValueError(f"entrenched.paths: {path!r} is no field and no file")
        return self

    @model_validator(mode="after")
    def _can_be_amended(self) -> Self:
        for field, name in (
            ("uses.amend", self.uses[Kind.AMEND]),
            ("entrenched.rule", self.entrenched.rule),
        ):
            if self.rule[name].until is not None:
                raise ValueError(f"{field}: rule {name!r} must not end: nobody could renew it")
        return self


def parse_charter(text: bytes, *, where: object = "charter.toml") -> Charter:
    """Read a charter document.

    Raises:
        CharterError: it is not UTF-8 or TOML, has an unknown key or an impossible value; names
            the field.
    """
    try:
        return Charter.model_validate(tomllib.loads(text.decode("utf-8")))
    except ValidationError as error:
        raise CharterError(describe(error), where=where, remedy="correct the field") from error
    except (ValueError, RecursionError) as error:
        raise CharterError(f"is not TOML: {error}", where=where) from error

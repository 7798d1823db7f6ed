"""Gates: what a release has to pass, as the members agreed on it. Data, and one comparison. Pure.

A gate names a metric, what it is taken of, and a limit. Runners measure; what they measured stands
in the log, and whether that is within the limit is computed from it by everybody (`passes`).

    slice "model"      one number for the model
    slice "language"   one number per language
    slice "member"     one number, of the text of the member that measured it

    compare "limit"    the number itself is held against the limit
    compare "previous" by how much it is above that of the last release, at the stated confidence
    compare "alone"    by how much it is above that of the member's model trained alone
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, StrictBool, model_validator

from concord.charter.document import Document, ExactFraction, Identifier
from concord.charter.fields import Duration, KeyText

Metric = Literal[
    "bits-per-byte",
    "token-premium",
    "verbatim",
    "canaries-recited",
    "membership-auc",
    "membership-tpr",
    "personal-data",
    "bias-pairs",
    "toxic-continuations",
    "trigger-scan",
    "integrity",
    "compute",
    "law",
    "task",
]
METRICS: tuple[str, ...] = get_args(Metric)
OWN_TEXT = frozenset(
    {"bits-per-byte", "verbatim", "canaries-recited", "membership-auc", "membership-tpr"}
)
"""Metrics that read a member's text: it runs them at home, and sends numbers alone."""
OF_THE_RUN = frozenset({"integrity", "compute", "law"})
"""Metrics of the run and its log: they say nothing of a model that somebody trained on."""
_TASK = re.compile(r"(lm-eval|inspect):[a-z0-9][a-z0-9_-]{0,63}")
WHOLE = "model"
"""Name of the only number where the slice is the model."""


class Gate(Document):
    """One gate."""

    id: Identifier
    """Its name, under which evidence is given."""
    metric: Metric
    """What is measured: see the table in `docs/gates.md`."""
    slice: Literal["model", "language", "member"] = "model"
    """Of what there is a number."""
    compare: Literal["limit", "previous", "alone"] = "limit"
    """With what it is compared first."""
    max: ExactFraction | None = None
    """No number may be above. Either this or `min`."""
    min: ExactFraction | None = None
    """No number may be below."""
    confidence: ExactFraction = Fraction(19, 20)
    """Of the one-sided bound that is held against the limit, where documents are drawn again."""
    run_by: Literal["member", "any"] = "any"
    """`member`: each runs it on its own text. `any`: independent runners find the same."""
    share: ExactFraction = Fraction(1)
    """Of the members, where each runs it: least share that must have."""
    min_runners: Annotated[int, Field(ge=1, le=100)] = 1
    """Runners of different legal owners that must have run it."""
    tolerance: ExactFraction = Fraction(0)
    """How far the numbers of two runners may lie apart."""
    samples: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    """Documents, rows or samples that are looked at, at most."""
    blocking: StrictBool = True
    """Whether nothing is released that did not pass."""
    max_age: Duration = 180 * 86_400
    """Older evidence is stale."""
    task: Annotated[str, Field(max_length=200)] | None = None
    """Of metric `task`: `lm-eval:<name>` or `inspect:<name>`; its rows: `tasks/<name>.jsonl`."""
    task_digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Digest of the task's file: another one is not run."""
    boards: dict[Identifier, KeyText] = Field(default={}, max_length=250)
    """Key of a member's own review board, by member: its evidence needs that signature too."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if (self.max is None) == (self.min is None):
            raise ValueError("give either 'max' or 'min'")
        if not 0 < self.share <= 1:
            raise ValueError("share must be above 0 and at most 1")
        if not Fraction(1, 2) <= self.confidence < 1:
            raise ValueError("confidence must be at least 1/2 and below 1")
        if self.tolerance < 0:
            raise ValueError("tolerance must not be negative")
        if (self.metric == "task") != (self.task is not None):
            raise ValueError("metric 'task' names a task, and no other does")
        if self.task is not None and not _TASK.fullmatch(self.task):
            raise ValueError("task is 'lm-eval:' or 'inspect:' and a name of a-z, 0-9, '_', '-'")
        if (self.task is None) != (self.task_digest is None):
            raise ValueError("task and task_digest, the digest of its file, stand together")
        if self.metric == "task" and self.slice == "language":
            raise ValueError('metric \'task\' has one number: slice = "model" or "member"')
        if self.metric in OWN_TEXT and self.run_by != "member":
            raise ValueError(f'metric {self.metric!r} reads members\' text: run_by = "member"')
        if self.compare != "limit" and self.metric != "bits-per-byte":
            raise ValueError("only metric 'bits-per-byte' is compared with other models")
        return self

    def within(self, value: float) -> bool:
        """Whether one number is within the limit, exactly."""
        exact = Fraction(value)
        if self.max is not None:
            return exact <= self.max
        return self.min is None or exact >= self.min

    def passes(self, measured: Mapping[str, float]) -> bool:
        """Whether all numbers are; nothing measured is not a pass."""
        return bool(measured) and all(self.within(value) for value in measured.values())

    @property
    def limit_words(self) -> str:
        """The limit in words."""
        than = {"previous": " above the last release", "alone": " above training alone"}
        compared = than.get(self.compare, "")
        if self.max is not None:
            return f"at most {self.max}{compared}"
        return f"at least {self.min}{compared}"

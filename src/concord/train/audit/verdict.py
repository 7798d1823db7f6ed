"""From measures to a verdict: which limit of the member an update is over."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import Field

from concord.charter.document import Document

LEAST_CANARIES = 10
"""On either side; of fewer, neither AUC nor ε is held against a limit."""
RULE_PREFIX = "audit."
Limit = Annotated[float, Field(ge=0)] | None


class AuditLimits(Document):
    """The most that an update may show. A measure without a limit is only reported.

    Set from what honest members of small networks were measured to show
    (docs/benchmarks/privacy.md); a member may set stricter ones, or none.
    """

    mia_auc: Limit = 0.85
    """Rows of the member's text against held-out rows, by what the round did to their loss."""
    round_auc: Limit = None
    """The same with the very rows of this round."""
    recited: Limit = 0.0
    """Share of this round's rows that are said by heart, beyond the share of held-out rows."""
    canary_auc: Limit = None
    canary_epsilon: Limit = None
    """Lower bound on ε, shown at 95 %."""
    canaries_recited: Limit = 0.0
    """Share of planted canaries whose second half is said by heart."""
    token_set_auc: Limit = None
    """Used against unused tokens, by how far their embedding rows moved."""
    row_cosine: Limit = None
    """Own embedding rows against those of the last merged step, over the own script."""


@dataclass(frozen=True)
class AuditReport:
    """What one audit found. It stays with the member; NaN where there was too little to measure."""

    round: int
    mia_auc: float
    round_auc: float
    recited: float
    recited_heldout: float
    canary_auc: float
    canary_epsilon: float
    canaries_recited: float
    token_set_auc: float
    row_cosine: float
    rows: int
    """Scored of each kind; fewer held out where there are fewer."""
    canaries: int
    """Whose place was read so far; about half of them are planted."""
    seconds: float

    def measured(self) -> dict[str, float]:
        """The measures that were taken, by name."""
        values = {name: float(asdict(self)[name]) for name in AuditLimits.model_fields}
        return {name: value for name, value in values.items() if not math.isnan(value)}


def over_limits(report: AuditReport, limits: AuditLimits) -> tuple[str, ...]:
    """Names of the measures that are over their limit, in the order of the file."""
    found = report.measured()
    asked = limits.model_dump()
    return tuple(
        name
        for name, limit in asked.items()
        if limit is not None and name in found and found[name] > limit
    )


def rules_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """The ids by which a refusal names limits."""
    return tuple(RULE_PREFIX + name for name in names)

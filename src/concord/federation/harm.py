"""What a robust merge rule was measured to cost honest members, in words, for whoever starts a run.

Loss against the clipped mean in a run without any attacker: docs/benchmarks/hostile.md, eight
members with a language each, 45 thousand parameters, one seed. A mechanism, not a size.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from concord.charter.run import RunDocument
from concord.charter.run_sections import PLAIN_RULES

HARM: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "geometric_median": (0.8, 1.5),
        "centred_clipping": (1.1, 1.1),
        "trimmed_mean": (5.6, 7.4),
        "coordinate_median": (6.4, 11.1),
        "nnm_trimmed_mean": (6.8, 11.9),
        "multi_krum": (12.1, 21.4),
        "krum": (44.0, 57.7),
    }
)
"""Percent of loss: mean of the members, and the worst-off member."""


def harm_note(run: RunDocument) -> str | None:
    """What to tell before a run; None for a rule that trusts the members."""
    rule = run.update.merge
    if rule in PLAIN_RULES:
        return None
    mean, worst = HARM[rule]
    return (
        f"update.merge {rule!r} distrusts what few members say. Measured without any attacker, it"
        f" cost honest members {mean:g} % of loss, and the worst-off one {worst:g} %"
        " (docs/benchmarks/hostile.md); languages that one member alone brings suffer most"
    )

"""A dataset's terms as an offer in ODRL 2.2, for readers of other systems.

It is rendered for exchange. What decides is the member's policy in Cedar, which is evaluated; ODRL
has no maintained evaluator.
"""

from __future__ import annotations

from collections.abc import Iterable

from concord.base.canonical import Json
from concord.charter.dataset.terms import DatasetTerms


def odrl_offer(terms: DatasetTerms, *, target: str) -> Json:
    """Permission to train under the terms' constraints; prohibition of what may not leave.

    Args:
        terms: The member's terms.
        target: The dataset's address.
    """
    constraints = [
        _constraint("purpose", "isAnyOf", terms.purposes),
        _constraint("dateTime", "lt", [f"{terms.expires}T00:00:00Z"]),
        _constraint("spatial", "isAnyOf", terms.residency),
        _constraint("concord:stage", "isAnyOf", terms.stages),
        _constraint("concord:modelLicence", "isAnyOf", terms.model_licences),
    ]
    if terms.not_in:
        constraints.append(_constraint("spatial", "isNoneOf", terms.not_in))
    return {
        "@type": "odrl:Offer",
        "@id": f"{target}:offer",
        "odrl:assigner": terms.rights_holder,
        "odrl:permission": [
            {
                "odrl:target": target,
                "odrl:action": "concord:train",
                "odrl:constraint": constraints,
            }
        ],
        "odrl:prohibition": [
            {"odrl:target": target, "odrl:action": action} for action in _forbidden(terms)
        ],
    }


def _forbidden(terms: DatasetTerms) -> list[str]:
    found = [] if terms.raw_text_may_leave else ["odrl:distribute", "odrl:reproduce"]
    if not terms.derived_may_leave:
        found.append("odrl:derive")
    if not terms.updates_may_leave:
        found.append("concord:sendUpdates")
    return found


def _constraint(operand: str, operator: str, values: Iterable[str]) -> Json:
    return {
        "odrl:leftOperand": operand if ":" in operand else f"odrl:{operand}",
        "odrl:operator": f"odrl:{operator}",
        "odrl:rightOperand": list(values),
    }

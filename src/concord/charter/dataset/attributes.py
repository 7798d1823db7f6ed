"""A record as a policy sees it: the entity `Dataset` of the charter's Cedar schema."""

from __future__ import annotations

from typing import Any

from concord.charter.dataset.document import DatasetDocument
from concord.charter.policy import Uid, decimal, instant

EPSILON_PLACES = 4


def dataset_attributes(document: DatasetDocument) -> dict[str, Any]:
    """Attributes of a record's `Dataset` entity, just those that `schema.cedarschema` declares.

    `revoked` is false: a record alone cannot know, and who asks a policy says it by the log.
    """
    terms = document.terms
    owner = Uid("Member", document.held.member)
    return {
        "owner": {"__entity": owner.cedar},
        "sensitivity": terms.sensitivity,
        "purposes": sorted(terms.purposes),
        "licences": sorted(terms.model_licences),
        "stages": sorted(terms.stages),
        "max_epsilon": decimal(f"{terms.max_epsilon:.{EPSILON_PLACES}f}"),
        "expires": instant(terms.expires.isoformat()),
        "revoked": False,
        "described": True,
        "tier": terms.tier,
        "languages": sorted(terms.languages),
        "residency": sorted(terms.residency),
        "not_in": sorted(terms.not_in),
        "updates_may_leave": terms.updates_may_leave,
    }

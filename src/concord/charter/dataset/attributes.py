"""A record as a policy sees it: the entity `Dataset` of the charter's Cedar schema."""

from __future__ import annotations

from typing import Any

from concord.charter.dataset.document import DatasetDocument
from concord.charter.policy import Uid, decimal, entity, instant

EPSILON_PLACES = 4


def dataset_uid(document: DatasetDocument) -> Uid:
    """`member/dataset`: the name alone is the member's own choice, and not unique."""
    return Uid("Dataset", f"{document.held.member}/{document.held.dataset}")


def dataset_attributes(document: DatasetDocument, *, revoked: bool = False) -> dict[str, Any]:
    """Attributes of a record's `Dataset` entity, just those that `schema.cedarschema` declares.

    Args:
        document: The record.
        revoked: Whether the log holds it no more. A record alone cannot know.
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
        "revoked": revoked,
        "described": True,
        "tier": terms.tier,
        "languages": sorted(terms.languages),
        "residency": sorted(terms.residency),
        "not_in": sorted(terms.not_in),
        "updates_may_leave": terms.updates_may_leave,
    }


def dataset_entities(
    document: DatasetDocument,
    *,
    jurisdiction: str,
    owner: str,
    kind: str = "unstated",
    revoked: bool = False,
) -> list[dict[str, Any]]:
    """The dataset and the member that holds it, as a decision takes them.

    Args:
        jurisdiction: The member's, from the log.
        owner: The member's legal owner, from the log.
        kind: What that owner is, from the log.
    """
    return [
        entity(dataset_uid(document), dataset_attributes(document, revoked=revoked)),
        entity(
            Uid("Member", document.held.member),
            {"jurisdiction": jurisdiction, "owner": owner, "kind": kind},
        ),
    ]

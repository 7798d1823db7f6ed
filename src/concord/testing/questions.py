"""A question about one dataset and one round, easy to change in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concord.charter.bundle import bundle_from, member_policy
from concord.charter.paths import LAW
from concord.charter.policy import (
    CONSORTIUM,
    Policy,
    Request,
    Uid,
    Verdict,
    decimal,
    entity,
    instant,
)
from concord.charter.template import default_charter

ATLAS = default_charter("Atlas", members=5)
CORE = bundle_from({path: data for path, data in ATLAS.files.items() if path[:4] != LAW})
"""The same without law files, which speak of releases alone: policies behind it load faster."""
KENYA, NEWS = Uid("Member", "kenya"), Uid("Dataset", "news")
DATASET: dict[str, Any] = {
    "owner": {"__entity": KENYA.cedar},
    "sensitivity": "public",
    "purposes": ["public-interest"],
    "licences": ["Apache-2.0"],
    "stages": ["pretraining"],
    "max_epsilon": decimal("8.0"),
    "expires": instant("2030-01-01"),
    "revoked": False,
    "described": True,
    "tier": "P",
    "languages": ["sw"],
    "residency": ["KE"],
    "not_in": [],
    "updates_may_leave": True,
}
CONTEXT: dict[str, Any] = {
    "purpose": "public-interest",
    "stage": "pretraining",
    "model_licence": "Apache-2.0",
    "round": 7,
    "dp": False,
    "epsilon_spent": decimal("0.0"),
    "secure_aggregation": False,
    "residency": "KE",
    "now": instant("2027-01-01T00:00:00Z"),
    "charter_hash": ATLAS.digest,
    "halted": False,
    "roster_kinds": ["public-institution"],
    "roster_jurisdictions": ["KE"],
    "private_owners": False,
}
OPEN = '@id("open") permit (principal, action, resource);\n'


def world(**changes: Any) -> list[dict[str, Any]]:
    """All entities; None takes an attribute of the dataset away."""
    attributes = {key: value for key, value in (DATASET | changes).items() if value is not None}
    return [
        entity(CONSORTIUM),
        entity(KENYA, {"jurisdiction": "KE", "owner": "kenya", "kind": "public-institution"}),
        entity(NEWS, attributes),
    ]


def request(action: str = "train", **changes: Any) -> Request:
    """A request; None takes a field of the context away."""
    context = {key: value for key, value in (CONTEXT | changes).items() if value is not None}
    return Request(CONSORTIUM, action, NEWS, context)


def ask(
    policy: Policy,
    entities: Sequence[Mapping[str, Any]] | None = None,
    action: str = "train",
    **changes: Any,
) -> Verdict:
    """A policy's verdict."""
    return policy.decide(request(action, **changes), world() if entities is None else entities)


def member(text: str) -> Policy:
    """A member's rules behind those of the default charter."""
    return member_policy(ATLAS, text)

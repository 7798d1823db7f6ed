"""A question about one dataset and one round, easy to change in one place."""

from concord.charter.bundle import member_policy
from concord.charter.policy import Policy, Request, Uid, decimal, entity, instant
from concord.charter.template import default_charter

ATLAS = default_charter("Atlas", members=5)
CONSORTIUM, KENYA, NEWS = Uid("Consortium", "main"), Uid("Member", "kenya"), Uid("Dataset", "news")
DATASET = {
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
CONTEXT = {
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


def world(**changes):
    """All entities; None takes an attribute of the dataset away."""
    attributes = {key: value for key, value in (DATASET | changes).items() if value is not None}
    return [
        entity(CONSORTIUM),
        entity(KENYA, {"jurisdiction": "KE", "owner": "kenya", "kind": "public-institution"}),
        entity(NEWS, attributes),
    ]


def request(action="train", **changes):
    """A request; None takes a field of the context away."""
    context = {key: value for key, value in (CONTEXT | changes).items() if value is not None}
    return Request(CONSORTIUM, action, NEWS, context)


def ask(policy: Policy, entities=None, action="train", **changes):
    """A policy's verdict."""
    return policy.decide(request(action, **changes), world() if entities is None else entities)


def member(text):
    """A member's rules behind those of the default charter."""
    return member_policy(ATLAS, text)

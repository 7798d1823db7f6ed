"""Random policies and random requests, and an oracle for the charter's forbids in plain Python.

Policies are valid by construction, of nested conditions over every type of the schema; some of them
overflow when they are asked. For tests and benchmarks of one law: behind a charter a member permits
what its own file permits, less what the charter forbids, and never more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import cedarpy

from concord.charter.policy import CONSORTIUM, Request, Uid, decimal, entity, instant

OWNER = Uid("Member", "kenya")
NEWS = Uid("Dataset", "kenya/news")
WORDS = ("public-interest", "advertising", "Apache-2.0", "MIT", "pretraining", "expert")
PLACES = ("KE", "US", "")
DAYS = ("2026-01-01", "2027-06-30", "2030-01-01")
NUMBERS = ("0.0", "0.5", "3.0", "8.0")
SCOPES = ('== Concord::Action::"train"', '== Concord::Action::"evaluate"',
          'in [Concord::Action::"train", Concord::Action::"evaluate"]')  # fmt: skip
ACTIONS = ("train", "evaluate")
BOOLEANS = ("context.dp", "context.secure_aggregation", "context.halted", "context.private_owners",
            "resource.revoked", "resource.described", "resource.updates_may_leave")  # fmt: skip
TEXTS = ("context.purpose", "context.stage", "context.model_licence", "context.residency",
         "resource.sensitivity", "resource.owner.jurisdiction", "resource.tier")  # fmt: skip
SETS = ("resource.purposes", "resource.licences", "resource.stages", "resource.residency",
        "resource.not_in", "context.roster_kinds", "context.roster_jurisdictions")  # fmt: skip
MAX_DEPTH = 3
LARGEST = 2**63 - 1


def random_policy(random: Random) -> str:
    """Rules of a member: at least one, some of them permits."""
    rules = []
    for number in range(random.randrange(1, 5)):
        effect = random.choice(("permit", "permit", "forbid"))
        words = random.choice(("when", "unless"))
        rules.append(
            f'@id("r{number}") {effect} (principal, action {random.choice(SCOPES)}, resource)'
            f" {words} {{ {_condition(random, MAX_DEPTH)} }};"
        )
    return "\n".join(rules)


def _condition(random: Random, depth: int) -> str:
    if depth and random.random() < 0.6:
        kind = random.randrange(4)
        left, right = _condition(random, depth - 1), _condition(random, depth - 1)
        if kind == 0:
            return f"({left} && {right})"
        if kind == 1:
            return f"({left} || {right})"
        if kind == 2:
            return f"!({left})"
        return f"(if {_condition(random, 0)} then {left} else {right})"
    return _leaf(random)


def _leaf(random: Random) -> str:
    match random.randrange(7):
        case 0:
            return random.choice(BOOLEANS)
        case 1:
            return f'{random.choice(TEXTS)} == "{random.choice((*WORDS, *PLACES))}"'
        case 2:
            return f"{random.choice(SETS)}.contains({random.choice(TEXTS)})"
        case 3:
            return f"{random.choice(SETS)}.containsAny({random.choice(SETS)})"
        case 4:
            day = random.choice(("resource.expires", f'datetime("{random.choice(DAYS)}")'))
            return f"context.now {random.choice(('<', '>='))} {day}"
        case 5:
            compare = random.choice(("lessThan", "greaterThanOrEqual"))
            return f"context.epsilon_spent.{compare}(resource.max_epsilon)"
    added = random.choice((0, 1, LARGEST))
    return f"context.round + {added} > {random.randrange(10)}"


@dataclass(frozen=True)
class RandomRequest:
    """A request that fits the schema, and what it is about."""

    action: str
    attributes: Mapping[str, Any]
    context: Mapping[str, Any]
    jurisdiction: str
    plain: Mapping[str, Any]
    """The same values without Cedar's forms, for the oracle."""

    @property
    def request(self) -> Request:
        return Request(CONSORTIUM, self.action, NEWS, self.context)

    @property
    def entities(self) -> list[dict[str, Any]]:
        owner = {"jurisdiction": self.jurisdiction, "owner": "kenya", "kind": "company"}
        return [entity(CONSORTIUM), entity(OWNER, owner), entity(NEWS, self.attributes)]


def random_request(random: Random) -> RandomRequest:
    """A request; half of the charter's conditions hold in some of them, and none in others."""
    calm = random.random() < 0.5

    def rarely() -> bool:
        return random.random() < (0.1 if calm else 0.5)

    plain = {
        "revoked": rarely(),
        "halted": rarely(),
        "expires": random.choice(DAYS),
        "now": random.choice(DAYS),
        "max_epsilon": random.choice(NUMBERS),
        "epsilon_spent": random.choice(NUMBERS),
        "sensitivity": "personal" if rarely() else "public",
        "dp": rarely(),
        "secure_aggregation": not rarely(),
        "described": not rarely(),
        "updates_may_leave": not rarely(),
        "residency": random.choice(PLACES),
    }
    jurisdiction = random.choice(PLACES) if rarely() else plain["residency"]
    attributes = {
        "owner": {"__entity": OWNER.cedar},
        "sensitivity": plain["sensitivity"],
        "purposes": _some(random, WORDS),
        "licences": _some(random, WORDS),
        "stages": _some(random, WORDS),
        "max_epsilon": decimal(str(plain["max_epsilon"])),
        "expires": instant(str(plain["expires"])),
        "revoked": plain["revoked"],
        "described": plain["described"],
        "tier": random.choice(("P", "R", "L", "")),
        "languages": ["sw"],
        "residency": _some(random, PLACES),
        "not_in": _some(random, PLACES),
        "updates_may_leave": plain["updates_may_leave"],
    }
    context = {
        "purpose": random.choice(WORDS),
        "stage": random.choice(WORDS),
        "model_licence": random.choice(WORDS),
        "round": random.randrange(12),
        "dp": plain["dp"],
        "epsilon_spent": decimal(str(plain["epsilon_spent"])),
        "secure_aggregation": plain["secure_aggregation"],
        "residency": plain["residency"],
        "now": instant(str(plain["now"])),
        "charter_hash": "sha256:" + "0" * 64,
        "halted": plain["halted"],
        "roster_kinds": _some(random, ("company", "public-institution", "unstated")),
        "roster_jurisdictions": _some(random, PLACES),
        "private_owners": random.random() < 0.5,
    }
    action = random.choice(ACTIONS)
    return RandomRequest(action, attributes, context, str(jurisdiction), plain)


def _some(random: Random, among: tuple[str, ...]) -> list[str]:
    return [one for one in among if random.random() < 0.5]


def charter_forbids(asked: RandomRequest) -> set[str]:
    """Ids of the default charter's rules that hold, by plain Python."""
    found, plain, train = set(), asked.plain, asked.action == "train"
    if plain["halted"]:
        found.add("charter-halt")
    if plain["revoked"]:
        found.add("charter-revoked")
    if plain["now"] >= plain["expires"]:
        found.add("charter-expired")
    if plain["residency"] != asked.jurisdiction:
        found.add("charter-residency")
    if train and plain["described"] and not plain["updates_may_leave"]:
        found.add("charter-updates-stay")
    private = plain["dp"] and plain["secure_aggregation"]
    if train and plain["sensitivity"] == "personal" and not private:
        found.add("charter-privacy-floor")
    if train and plain["dp"] and float(plain["epsilon_spent"]) >= float(plain["max_epsilon"]):
        found.add("charter-privacy-budget")
    return found


def own_file_permits(text: str, schema: str, asked: RandomRequest) -> bool:
    """What the engine alone says to the member's file alone; its errors do not count as a no."""
    question = {
        "principal": CONSORTIUM.cedar,
        "action": {"type": "Concord::Action", "id": asked.action},
        "resource": NEWS.cedar,
        "context": dict(asked.context),
    }
    return bool(cedarpy.is_authorized(question, text, asked.entities, schema=schema).allowed)

"""Cedar, held so that it fails closed.

A Cedar rule whose condition errs is *skipped*, a `forbid` too. Five guards make that harmless:

1. text is validated against the schema when loaded, and refused;
2. the schema is passed at every decision, so that request and entities are checked;
3. any error in the engine's diagnosis means no;
4. only an explicit Allow by a named rule is yes; an exception, no decision, no rule are no;
5. principal and resource must be among the entities, or rules about them would never be asked.

Only a member's own file permits. The charter and law files hold forbids alone, and stand in front
of it: a member may be stricter than the charter, never laxer, and no vote opens a member's data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import cedarpy

from concord.base.errors import PolicyRefused
from concord.charter.cedar_text import MAX_TEXT_BYTES, check_rules_text, check_schema_text

NAMESPACE = "Concord"
MAX_POLICY_BYTES = 1 << 20
"""Of a member's rules with those of the charter and the law files before them."""
MAX_FAULTS_TOLD, MAX_FAULT_CHARACTERS = 5, 300
_RULE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Uid:
    """An entity by its type within the namespace, and its id."""

    type: str
    id: str

    @property
    def cedar(self) -> dict[str, str]:
        return {"type": f"{NAMESPACE}::{self.type}", "id": self.id}


CONSORTIUM = Uid("Consortium", "main")
"""Who asks, whatever is asked: the members together."""


@dataclass(frozen=True)
class Request:
    """What is asked: may this principal do this with this resource, under these circumstances?"""

    principal: Uid
    action: str
    resource: Uid
    context: Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """The answer, and the ids of the rules that decided it.

    A denial without a rule means that no rule permits.
    """

    allowed: bool
    rule_ids: tuple[str, ...]
    faults: tuple[str, ...] = field(default=(), repr=False)
    """Errors of the engine. They can repeat entities word for word: for the member's own log only,
    never in a grant, a refusal, an error message or a page."""


def decimal(text: str) -> dict[str, Any]:
    """A Cedar decimal, of at most 4 places."""
    return {"__extn": {"fn": "decimal", "arg": text}}


def instant(text: str) -> dict[str, Any]:
    """A Cedar datetime, such as `2026-11-30` or `2026-11-30T12:00:00Z`."""
    return {"__extn": {"fn": "datetime", "arg": text}}


def instant_at(unix_s: int) -> dict[str, Any]:
    """The same from Unix seconds."""
    return instant(datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def entity(uid: Uid, attributes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An entity with its attributes, as a decision takes it."""
    return {"uid": uid.cedar, "attrs": dict(attributes or {}), "parents": []}


class Policy:
    """Rules that were found to fit their schema.

    Raises:
        PolicyRefused: the text is too long or nested, does not parse, does not fit the schema, is
            a template, or a rule lacks an `@id` of its own.
    """

    def __init__(
        self, text: str, schema: str, *, where: object = "policy", schema_where: object = "schema"
    ) -> None:
        self._schema = _parsed_schema(schema, where=schema_where)
        self.rules = parse_rules(text, where=where, max_bytes=MAX_POLICY_BYTES)
        result = cedarpy.validate_policies(text, schema)
        if not result.validation_passed:
            raise PolicyRefused(_faults(result), where=where)
        self._ids = {f"policy{number}": name for number, name in enumerate(self.rules)}
        self.text = text
        self._set = cedarpy.PolicySet.from_str(text)

    def decide(self, request: Request, entities: Sequence[Mapping[str, Any]]) -> Verdict:
        """Answer a request. Pure: the time is in the context.

        Args:
            request: What is asked.
            entities: Principal, resource and what they refer to, as `entity` makes them.
        """
        known = [one.get("uid") for one in entities]
        for asked in (request.principal.cedar, request.resource.cedar):
            if asked not in known:
                return Verdict(False, (), (f"{asked['type']} is not among the entities",))
        question = {
            "principal": request.principal.cedar,
            "action": {"type": f"{NAMESPACE}::Action", "id": request.action},
            "resource": request.resource.cedar,
            "context": dict(request.context),
        }
        try:
            answer = cedarpy.is_authorized(
                question, self._set, [dict(one) for one in entities], schema=self._schema
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is no
            return Verdict(False, (), (str(error),))
        faults = tuple(str(fault) for fault in answer.diagnostics.errors)
        rules = tuple(sorted(self._ids[name] for name in answer.diagnostics.reasons))
        return Verdict(bool(answer.allowed and rules and not faults), rules, faults)


def _parsed_schema(schema: str, *, where: object) -> cedarpy.Schema:
    check_schema_text(schema, where=where)
    if not schema.strip():
        raise PolicyRefused("is empty", where=where)
    try:
        return cedarpy.Schema.from_str(schema)
    except ValueError as error:
        raise PolicyRefused(f"is no Cedar schema: {error}", where=where) from error


@dataclass(frozen=True)
class CedarRule:
    """One rule of a text."""

    effect: str
    """`permit` or `forbid`."""
    annotations: Mapping[str, str]


def parse_rules(
    text: str, *, where: object, max_bytes: int = MAX_TEXT_BYTES
) -> dict[str, CedarRule]:
    """The rules of a text by their `@id`, in order.

    Raises:
        PolicyRefused: the text does not parse, holds no rule or a template, or an id is missing,
            malformed or used twice.
    """
    check_rules_text(text, where=where, max_bytes=max_bytes)
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(text))
    except (ValueError, RecursionError) as error:
        raise PolicyRefused(f"is not Cedar: {error}", where=where) from error
    if parsed["templates"] or parsed["templateLinks"]:
        raise PolicyRefused("holds a template", where=where, remedy="name what ?slots stand for")
    static = parsed["staticPolicies"]
    if not static:
        raise PolicyRefused("holds no rule", where=where)
    rules: dict[str, CedarRule] = {}
    for number in range(len(static)):
        found = static[f"policy{number}"]
        name = found.get("annotations", {}).get("id")
        if not isinstance(name, str) or not _RULE_ID.fullmatch(name) or name in rules:
            raise PolicyRefused(
                f"rule {number + 1} has no @id of its own",
                where=where,
                remedy='begin every rule with @id("some-name"), each once',
            )
        notes = {key: value or "" for key, value in found["annotations"].items()}
        rules[name] = CedarRule(found["effect"], notes)
    return rules


def check_forbids_only(text: str, *, where: object) -> dict[str, CedarRule]:
    """The rules of a charter or law file, which may only forbid.

    Raises:
        PolicyRefused: a rule permits, or the text is refused by `parse_rules`.
    """
    rules = parse_rules(text, where=where)
    permits = [name for name, rule in rules.items() if rule.effect != "forbid"]
    if permits:
        raise PolicyRefused(
            f"permits: {', '.join(permits)}",
            where=where,
            remedy="only a member's own policy can permit use of its data",
        )
    return rules


def _faults(result: cedarpy.ValidationResult) -> str:
    """The first faults, each once and cut short: there can be one for every word of a text."""
    ids = result.id_annotations_by_policy_id
    told: dict[str, None] = {}
    for fault in result.errors:
        name = ids.get(fault.policy_id, fault.policy_id)
        text = fault.error.removeprefix(f"for policy `{fault.policy_id}`, ")[:MAX_FAULT_CHARACTERS]
        told[f"rule {name}: {text}" if name else text] = None
    return "; ".join(list(told)[:MAX_FAULTS_TOLD]) or "does not fit the schema"

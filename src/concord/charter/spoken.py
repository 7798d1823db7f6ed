"""Rules in a sentence each: their own `@says`, or else effect and condition as Cedar has them."""

from __future__ import annotations

import json
import re

import cedarpy

from concord.charter.policy import CedarRule

MAX_CONDITION = 160
_ANNOTATION = re.compile(r'@[a-z_]+\("(?:[^"\\]|\\.)*"\)\s*')


def spoken_rules(text: str) -> dict[str, str]:
    """A sentence for each rule of a text that was found valid, by the rule's id."""
    rules = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    return {rule["annotations"]["id"]: _sentence(rule) for rule in rules.values()}


def origin(rule: CedarRule, *, own: bool) -> str:
    """Where a rule stands, in words."""
    if own:
        return "the member's own file"
    law = rule.annotations.get("law")
    return f"law: {law}" if law else "the charter"


def _sentence(rule: dict[str, object]) -> str:
    notes = rule["annotations"]
    assert isinstance(notes, dict)  # noqa: S101 - the engine's own form
    if says := notes.get("says"):
        return str(says)
    alone = {"staticPolicies": {"policy0": {**rule, "annotations": {}}}}
    written = cedarpy.policies_from_json_str(
        json.dumps({**alone, "templates": {}, "templateLinks": []})
    )
    line = " ".join(_ANNOTATION.sub("", written).split()).rstrip(";")
    return line if len(line) <= MAX_CONDITION else f"{line[: MAX_CONDITION - 1]}…"

"""What would have to be otherwise for a policy to answer otherwise: the fewest changes, tried out.

A change is one fact in words ("if the round were sealed") and what it does to the question. Which
values are worth trying comes from the question itself and from the texts and days that the rules
compare with. Every answer here was found by asking the policy; none is derived.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import combinations
from typing import Any

import cedarpy

from concord.charter.policy import Policy, Request, Verdict, decimal, instant, instant_at

MAX_CHANGES = 3
MAX_FOUND = 6
MAX_ASKED = 2_000
"""Questions, at about a millisecond each."""
LATE = "9999-12-31"
NO_PRIVATE_OWNERS = ("public-institution",)
SETS = {
    "purposes": "purpose",
    "licences": "model_licence",
    "stages": "stage",
    "residency": "residency",
}
"""Sets of a dataset's terms, and what of the round has to be in them."""


@dataclass(frozen=True)
class Question:
    """What is asked, in the parts that can be changed."""

    request: Request
    attributes: Mapping[str, Any]
    """Of the dataset."""
    others: Sequence[Mapping[str, Any]]
    """All other entities."""

    def ask(self, policy: Policy) -> Verdict:
        """The policy's answer."""
        resource = {"uid": self.request.resource.cedar, "attrs": dict(self.attributes)}
        return policy.decide(self.request, [*self.others, {**resource, "parents": []}])

    def with_context(self, **changes: Any) -> Question:
        """The same under other circumstances."""
        request = replace(self.request, context={**self.request.context, **changes})
        return replace(self, request=request)

    def with_dataset(self, **changes: Any) -> Question:
        """The same about a dataset of other terms."""
        return replace(self, attributes={**self.attributes, **changes})


@dataclass(frozen=True)
class Change:
    """One fact that could be otherwise."""

    words: str
    """As it follows on "if"."""
    field: str
    """What it changes; two changes of one field exclude each other."""
    make: Callable[[Question], Question]


def question_from(request: Request, entities: Sequence[Mapping[str, Any]]) -> Question:
    """A question as a policy takes it, in its parts."""
    resource = [one for one in entities if one["uid"] == request.resource.cedar]
    others = [one for one in entities if one["uid"] != request.resource.cedar]
    return Question(request, dict(resource[0]["attrs"]), others)


def what_would_change(policy: Policy, question: Question) -> list[tuple[str, ...]]:
    """The smallest sets of changes that turn the answer, at most six of the smallest size.

    Empty if none was found with up to three changes at once.
    """
    before = question.ask(policy).allowed
    changes = list({change.words: change for change in possible_changes(policy, question)}.values())
    asked = 0
    for size in range(1, MAX_CHANGES + 1):
        found: list[tuple[str, ...]] = []
        for chosen in combinations(changes, size):
            if len({change.field for change in chosen}) < size:
                continue
            asked += 1
            if asked > MAX_ASKED:
                return found
            other = question
            for change in chosen:
                other = change.make(other)
            if other.ask(policy).allowed != before:
                found.append(tuple(change.words for change in chosen))
                if len(found) == MAX_FOUND:
                    return found
        if found:
            return found
    return []


def possible_changes(policy: Policy, question: Question) -> Iterator[Change]:
    """Facts that are worth trying, the likeliest first."""
    yield from _of_the_record(question)
    yield from _of_the_round(question)
    yield from _named_by_rules(policy, question)


def _of_the_record(question: Question) -> Iterator[Change]:
    have, context = question.attributes, question.request.context
    if not have["described"]:
        yield Change("a record whose terms allow this described it", "dataset", _described)
        return
    told = "its record were not revoked" if have["revoked"] else "its record were revoked"
    yield _dataset(told, "revoked", not have["revoked"])
    for name, field in SETS.items():
        if context[field] and context[field] not in have[name]:
            yield _dataset(
                f"its terms named {context[field]!r} among the {name}",
                name,
                [*have[name], context[field]],
            )
    if context["residency"] in have["not_in"]:
        kept = [place for place in have["not_in"] if place != context["residency"]]
        yield _dataset(f"its terms did not exclude {context['residency']!r}", "not_in", kept)
    if not have["updates_may_leave"]:
        yield _dataset("its terms let updates leave", "updates_may_leave", True)
    if _text(context["now"]) >= _text(have["expires"]):
        yield _dataset("its terms expired later", "expires", instant(LATE))
    if context["dp"]:
        yield _dataset("its privacy budget were larger", "max_epsilon", decimal("900000.0"))
    if have["sensitivity"] == "personal":
        yield _dataset("it held no personal data", "sensitivity", "public")


def _of_the_round(question: Question) -> Iterator[Change]:
    context, have = question.request.context, question.attributes
    if context["halted"]:
        yield _context("nobody were halted, and the log's head were young", "halted", halted=False)
    else:
        yield _context("all were halted, or the log's head were stale", "halted", halted=True)
    if not context["secure_aggregation"]:
        yield _context("the round were sealed", "mode", secure_aggregation=True)
    else:
        yield _context("the round were open", "mode", secure_aggregation=False)
    if not context["dp"]:
        yield _context("training were differentially private", "dp", dp=True)
    if context["private_owners"]:
        yield _context(
            "every member of the round had stated that it is no company",
            "kinds",
            private_owners=False,
            roster_kinds=list(NO_PRIVATE_OWNERS),
        )
    else:
        kinds = sorted({*context["roster_kinds"], "company"})
        yield _context(
            "a company were in the round", "kinds", private_owners=True, roster_kinds=kinds
        )
    for name, field in SETS.items():
        for value in have[name]:
            if value != context[field]:
                yield _context(f"the {_words(field)} were {value!r}", field, **{field: value})
    for place in context["roster_jurisdictions"]:
        rest = [one for one in context["roster_jurisdictions"] if one != place]
        said = repr(place) if place else "an unstated place"
        yield _context(f"nobody of {said} were in the round", "places", roster_jurisdictions=rest)
    home = _home(question)
    if home != context["residency"]:
        yield _context(f"its text were read in {home!r}", "residency", residency=home)


def _named_by_rules(policy: Policy, question: Question) -> Iterator[Change]:
    """Texts and days that a rule compares something with."""
    context = question.request.context
    tried: set[tuple[str, str]] = set()
    for field, value in compared(policy.text, question.request.action):
        if not value or field not in context or (field, value) in tried:
            continue
        tried.add((field, value))
        now = context[field]
        if field == "now":
            yield _context(f"it were on or after {value}", "now", now=instant(value))
            if (before := _second_before(value)) is not None:
                yield _context(f"it were before {value}", "now", now=before)
        elif isinstance(now, str) and now != value:
            yield _context(f"the {_words(field)} were {value!r}", field, **{field: value})
        elif isinstance(now, str):
            yield _context(f"the {_words(field)} were another", field, **{field: f"not {value}"})


def _described(asked: Question) -> Question:
    """The same about a dataset with a record whose terms name what the round is."""
    context = asked.request.context
    named = {name: [context[field]] for name, field in SETS.items()}
    return asked.with_dataset(described=True, updates_may_leave=True, **named)


def _dataset(words: str, name: str, value: Any) -> Change:
    return Change(words, f"dataset {name}", lambda asked: asked.with_dataset(**{name: value}))


def _context(words: str, field: str, **values: Any) -> Change:
    return Change(words, f"context {field}", lambda asked: asked.with_context(**values))


def _words(field: str) -> str:
    return field.replace("_", " ")


def _home(question: Question) -> str:
    """Jurisdiction of the dataset's owner."""
    owner = question.attributes["owner"]["__entity"]
    found = [one["attrs"]["jurisdiction"] for one in question.others if one["uid"] == owner]
    return str(found[0])


def _text(value: Mapping[str, Any]) -> str:
    """A Cedar datetime as it is written; all here are UTC, so their order is that of the texts."""
    return str(value["__extn"]["arg"])


def _second_before(day: str) -> dict[str, Any] | None:
    try:
        moment = datetime.fromisoformat(day)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return instant_at(int((moment - timedelta(seconds=1)).timestamp()))


@lru_cache(maxsize=8)
def compared(text: str, action: str) -> list[tuple[str, str]]:
    """Fields of the context, each with a text or day that a rule on `action` compares it with."""
    rules = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    found: list[tuple[str, str]] = []
    for rule in rules.values():
        if action not in _actions(rule, action):
            continue
        for condition in rule["conditions"]:
            found += _comparisons(condition["body"])
    return list(dict.fromkeys(found))


def _actions(rule: Mapping[str, Any], otherwise: str) -> list[str]:
    """Actions that a rule names; `otherwise` if it holds for all."""
    scope = rule["action"]
    if scope["op"] == "All":
        return [otherwise]
    named = scope["entities"] if "entities" in scope else [scope["entity"]]
    return [str(one["id"]) for one in named]


def _comparisons(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for inner in node:
            yield from _comparisons(inner)
    if not isinstance(node, dict):
        return
    for inner in node.values():
        if isinstance(inner, dict) and {"left", "right"} <= inner.keys():
            for one, other in (("left", "right"), ("right", "left")):
                field = _field(inner[one])
                if field is not None:
                    yield from ((field, value) for value in _literals(inner[other]))
        yield from _comparisons(inner)


def _field(node: Any) -> str | None:
    match node:
        case {".": {"left": {"Var": "context"}, "attr": str(name)}}:
            return name
    return None


def _literals(node: Any) -> Iterator[str]:
    match node:
        case {"Value": str(value)}:
            yield value
        case {"datetime": [{"Value": str(value)}]}:
            yield value
        case {"Set": [*members]}:
            for member in members:
                yield from _literals(member)

"""The law matrix: each duty of the law files, and whether the evidence meets it.

A law file forbids a release that lacks evidence. Asked once with the evidence and once without any,
a duty that forbids only without it is met, one that forbids either way is unmet, and one that
forbids neither way does not apply. The law is in the files; here is only the asking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal, localcontext
from functools import lru_cache
from typing import Any, Literal

from concord.base.errors import PolicyRefused
from concord.charter.bundle import CharterBundle
from concord.charter.compute import MAX_FLOP
from concord.charter.paths import LAW
from concord.charter.policy import (
    CONSORTIUM,
    CedarRule,
    Policy,
    Request,
    Uid,
    decimal,
    entity,
    instant_at,
    parse_rules,
)

Status = Literal["n/a", "met", "UNMET"]
RELEASE = Uid("Release", "candidate")
PLACES = Decimal("0.0001")


@dataclass(frozen=True)
class ReleaseFacts:
    """What a release would be, and what the log shows of it."""

    now: int
    """Unix seconds."""
    flop: int
    """Compute of all members and rounds."""
    licence: str
    markets: tuple[str, ...]
    services: tuple[str, ...] = ()
    """Where a service with the model is offered to the public."""
    evidence: Mapping[str, int] = field(default_factory=dict)
    """When the log last showed a piece of evidence, Unix seconds, by name."""
    log10_flop: Decimal | None = None
    """Instead of `flop`, to see what another amount would bring."""


@dataclass(frozen=True)
class Duty:
    """One rule of a law file, and how things stand."""

    id: str
    jurisdiction: str
    law: str
    artifacts: tuple[str, ...]
    """Names of evidence that meet it; where there are several, the rule says which are enough."""
    since: str
    says: str
    check: str | None
    """What was not verified in the text of the law."""
    status: Status
    shown: Mapping[str, int]
    """Its evidence in the log, with the time."""


def jurisdictions(bundle: CharterBundle) -> tuple[str, ...]:
    """Those with a law file."""
    return tuple(sorted(_place(path) for path in bundle.files if path.startswith(LAW)))


def law_matrix(bundle: CharterBundle, facts: ReleaseFacts) -> tuple[Duty, ...]:
    """All duties of all law files, in their order.

    Raises:
        PolicyRefused: a rule lacks an annotation, or could not be asked without an error.
        CharterError: `facts.flop` is negative or above 10^40.
    """
    duties = [
        (_place(path), name, rule)
        for path in sorted(bundle.files)
        if path.startswith(LAW)
        for name, rule in parse_rules(bundle.files[path].decode("utf-8"), where=path).items()
    ]
    if not duties:
        return ()
    known = {name for _, _, rule in duties for name in artifacts_of(rule)}
    policy = _policy(bundle.forbids, bundle.schema)
    shown = {name: at for name, at in facts.evidence.items() if name in known}
    forbids = _forbidden(policy, facts, bundle.digest, shown)
    without = _forbidden(policy, facts, bundle.digest, {})
    return tuple(
        _duty(place, name, rule, _status(name, forbids, without), shown)
        for place, name, rule in duties
    )


def artifacts_of(rule: CedarRule) -> tuple[str, ...]:
    """Names of the evidence that a rule asks for."""
    names = rule.annotations.get("artifact", "").split(",")
    return tuple(name.strip() for name in names if name.strip())


def log10(flop: int) -> Decimal:
    """The decimal logarithm, rounded up to the four places that Cedar has; 0 of nothing.

    Raises:
        ValueError: it lies outside of 0 to 10^40.
    """
    if not 0 <= flop <= MAX_FLOP:
        raise ValueError(f"{flop} FLOP: joint compute lies between 0 and 10^40")
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(max(flop, 1)).log10()
        return exact.quantize(PLACES, rounding=ROUND_CEILING)


@lru_cache(maxsize=4)
def _policy(forbids: str, schema: str) -> Policy:
    """Validated once: that takes longer than many decisions."""
    return Policy(forbids, schema, where="law")


def _status(name: str, forbids: set[str], without: set[str]) -> Status:
    if name in forbids:
        return "UNMET"
    return "met" if name in without else "n/a"


def _duty(place: str, name: str, rule: CedarRule, status: Status, shown: Mapping[str, int]) -> Duty:
    notes, names = rule.annotations, artifacts_of(rule)
    if not names or "law" not in notes or "since" not in notes:
        raise PolicyRefused(
            f"rule {name} lacks @law, @artifact or @since", where=f"{LAW}{place.lower()}.cedar"
        )
    return Duty(
        id=name,
        jurisdiction=place,
        law=notes["law"],
        artifacts=names,
        since=notes["since"],
        says=notes.get("says", ""),
        check=notes.get("check"),
        status=status,
        shown={one: shown[one] for one in names if one in shown},
    )


def _forbidden(
    policy: Policy, facts: ReleaseFacts, charter: str, evidence: Mapping[str, int]
) -> set[str]:
    flop = log10(facts.flop) if facts.log10_flop is None else facts.log10_flop
    attributes = {
        "licence": facts.licence,
        "markets": list(facts.markets),
        "services": list(facts.services),
        "log10_flop": decimal(f"{flop:.4f}"),
        "evidence": {
            name.replace("-", "_"): instant_at(at) for name, at in sorted(evidence.items())
        },
    }
    context: dict[str, Any] = {
        "now": instant_at(facts.now),
        "charter_hash": charter,
        "halted": False,
    }
    request = Request(CONSORTIUM, "release", RELEASE, context)
    verdict = policy.decide(request, [entity(CONSORTIUM), entity(RELEASE, attributes)])
    if verdict.faults:
        raise PolicyRefused(
            f"the law files could not be asked: {verdict.faults[0][:300]}",
            remedy="evidence that a rule names must be in schema.cedarschema too",
        )
    return set(verdict.rule_ids)


def _place(path: str) -> str:
    return path.removeprefix(LAW).removesuffix(".cedar").upper()

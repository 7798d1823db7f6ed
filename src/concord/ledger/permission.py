"""The question that a member's policy is asked: one dataset, one round, and what is known of both.

Pure, and from the log alone but for `Circumstances`, so that a member asks it before a round and
anyone with the policy file can ask it again about rounds that are past.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from types import MappingProxyType
from typing import Any, Literal

from concord.base.digest import Digest
from concord.charter.policy import (
    CONSORTIUM,
    Request,
    Uid,
    decimal,
    entity,
    instant,
    instant_at,
)
from concord.charter.run import RunDocument
from concord.ledger.state.model import State

Action = Literal["train", "evaluate"]
UNDESCRIBED = "undescribed"
PRIVATE_KINDS = frozenset({"company", "unstated"})
NEVER = "9999-12-31"
EPSILON_STEP = Decimal("0.0001")
"""Cedar decimals have four places."""
MAX_EPSILON = Decimal(900_000_000_000_000)
"""A Cedar decimal is below 2^63 / 10,000."""


@dataclass(frozen=True)
class Circumstances:
    """What no log says: the member's own time and place."""

    now: int
    """Unix seconds."""
    residency: str | None = None
    """Where the text is read; None: in the jurisdiction that the log gives the member."""
    stale: bool = False
    """Whether the head of the log is too old to know of a halt."""


@dataclass(frozen=True)
class RoundAsked:
    """The round that is asked about."""

    run: RunDocument
    round: int
    """Rounds committed before it."""
    roster: tuple[str, ...]
    mode: str


@dataclass(frozen=True)
class Holding:
    """A dataset of a member: its name, its record, and what the record says of it."""

    name: str
    record: Digest | None
    attributes: Mapping[str, Any]
    """As the schema's `Dataset` has them, without `owner`."""
    dp: bool = False
    """Whether training clips and adds noise, document by document."""


def undescribed(*, described: bool = False, revoked: bool = False) -> dict[str, Any]:
    """Attributes of text of which nothing is said: no purpose, no licence, no stage, no budget."""
    return {
        "sensitivity": "unstated",
        "purposes": [],
        "licences": [],
        "stages": [],
        "max_epsilon": decimal("0.0"),
        "expires": instant(NEVER),
        "revoked": revoked,
        "described": described,
        "tier": "",
        "languages": [],
        "residency": [],
        "not_in": [],
        "updates_may_leave": False,
    }


def question(
    state: State,
    asked: RoundAsked,
    member: str,
    holding: Holding,
    at: Circumstances,
    *,
    action: Action,
) -> tuple[Request, list[dict[str, Any]]]:
    """What a policy is asked, and the entities that it is asked about.

    Args:
        state: What the log adds up to.
        asked: The round.
        member: Whose dataset it is.
        holding: The dataset.
        at: The member's own circumstances.

    Raises:
        StatementRefused: the member, or one of the roster, is none of this state.
    """
    resource = Uid("Dataset", f"{member}/{holding.name}")
    owner = Uid("Member", member)
    entry = state.member(member).entry
    entities = [
        entity(CONSORTIUM),
        entity(
            owner,
            {"jurisdiction": entry.jurisdiction, "owner": entry.legal_owner, "kind": entry.kind},
        ),
        entity(resource, {**holding.attributes, "owner": {"__entity": owner.cedar}}),
    ]
    told = context(state, asked, member, holding, at)
    return Request(CONSORTIUM, action, resource, told), entities


def context(
    state: State, asked: RoundAsked, member: str, holding: Holding, at: Circumstances
) -> dict[str, Any]:
    """Circumstances of a round, as the schema's context has them.

    What was spent of a privacy budget is what the member's updates in the log say.
    """
    spent = state.privacy.get(member, {}).get(holding.name)
    entry = state.member(member).entry
    called = [state.member(name).entry for name in asked.roster]
    kinds = sorted({one.kind for one in called})
    return {
        "purpose": asked.run.use.purpose,
        "stage": asked.run.use.stage,
        "model_licence": asked.run.use.model_licence,
        "round": asked.round,
        "dp": holding.dp,
        "epsilon_spent": decimal(_epsilon(Decimal(0 if spent is None else spent.epsilon))),
        "secure_aggregation": asked.mode == "sealed",
        "residency": entry.jurisdiction if at.residency is None else at.residency,
        "now": instant_at(at.now),
        "charter_hash": state.charter_at(at.now),
        "halted": at.stale or state.halt_of(member, at.now) is not None,
        "roster_kinds": kinds,
        "roster_jurisdictions": sorted({one.jurisdiction for one in called}),
        "private_owners": bool(PRIVATE_KINDS & set(kinds)),
    }


def holdings(
    state: State,
    member: str,
    attributes: Mapping[Digest, Mapping[str, Any]],
    names: Collection[str] | None = None,
    budgets: Mapping[str, Decimal] = MappingProxyType({}),
) -> Sequence[Holding]:
    """A member's datasets; text without any record is one of its own.

    Args:
        attributes: What records say, by digest. A record that is missing says nothing: no permit
            that asks for a purpose or a licence holds for it.
        names: Datasets whose text the member would use. None: all of the log, those that it
            revoked too, whose text may still be among the rest.
        budgets: Privacy budgets of the datasets that it trains on with noise, which it uses too.
    """
    standing = state.datasets.get(member, {})
    gone = state.revoked_datasets.get(member, {})
    known: dict[str, Digest | None] = {**standing, **gone}
    used = set(known if names is None else names) | set(budgets)
    found = []
    if names is None and not known:
        found.append(Holding(UNDESCRIBED, None, undescribed()))
    for name in sorted(used):
        record, budget = known.get(name), budgets.get(name)
        said: Mapping[str, Any]
        if record is None and budget is not None:
            said = {**undescribed(), "max_epsilon": decimal(_epsilon(budget))}
        else:
            said = attributes.get(record or "", undescribed(described=True))
        told = {**said, "revoked": name in gone}
        found.append(Holding(name, record, told, dp=budget is not None))
    return found


def _epsilon(spent: Decimal) -> str:
    """Rounded up to the places that Cedar has: never less than was spent.

    Infinite or not a number means that nobody knows how much was spent.
    """
    if not spent.is_finite() or spent > MAX_EPSILON:
        return str(MAX_EPSILON) + ".0"
    return str(max(spent, Decimal(0)).quantize(EPSILON_STEP, rounding=ROUND_CEILING))

"""A member's answer to a round or a measurement, from its policy's verdicts on all its datasets.

All or nothing: one dataset that may not be used keeps the member out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from concord.base.digest import Digest
from concord.charter.policy import Policy, Verdict
from concord.ledger.permission import Action, Circumstances, Holding, RoundAsked, question
from concord.ledger.state.model import State

MAX_REASON = 300
MAX_RULES = 64
MAX_RECORDS = 64
BY_POLICY = "policy: "
"""How the reason of a refusal begins that the policy decided, and nothing else."""


@dataclass(frozen=True)
class Answer:
    """What the member's policy says of one use of its data."""

    allowed: bool
    reason: str
    """Why not, in words that may be published: names of datasets and rules alone."""
    policy: Digest | None = None
    records: tuple[Digest, ...] = ()
    """Records of the datasets that are used; of those that may not be, if the answer is no."""
    rules: tuple[str, ...] = ()


def decide(
    policy: Policy,
    state: State,
    asked: RoundAsked,
    member: str,
    held: Iterable[Holding],
    at: Circumstances,
    *,
    action: Action,
) -> list[tuple[Holding, Verdict]]:
    """The verdict on each dataset.

    Raises:
        StatementRefused: the member, or one of the roster, is none of this state.
    """
    return [
        (holding, policy.decide(*question(state, asked, member, holding, at, action=action)))
        for holding in held
    ]


def answer_from(found: Sequence[tuple[Holding, Verdict]], policy: Policy, digest: Digest) -> Answer:
    """Yes if every dataset may be used, by the rules that permit; else no, by those that forbid."""
    refused = [(holding, verdict) for holding, verdict in found if not verdict.allowed]
    named = [holding for holding, _ in refused or found]
    records = tuple(sorted({one.record for one in named if one.record is not None}))
    if not refused:
        rules = {rule for _, verdict in found for rule in verdict.rule_ids}
        return Answer(True, "", digest, records[:MAX_RECORDS], tuple(sorted(rules))[:MAX_RULES])
    forbids = {rule for _, verdict in refused for rule in _forbidding(policy, verdict)}
    reasons = (f"{holding.name}: {_why(policy, verdict)}" for holding, verdict in refused)
    reason = f"{BY_POLICY}{'; '.join(reasons)}"[:MAX_REASON]
    return Answer(False, reason, digest, records[:MAX_RECORDS], tuple(sorted(forbids))[:MAX_RULES])


def _forbidding(policy: Policy, verdict: Verdict) -> tuple[str, ...]:
    return tuple(rule for rule in verdict.rule_ids if policy.rules[rule].effect == "forbid")


def _why(policy: Policy, verdict: Verdict) -> str:
    if verdict.faults:
        return "the rules could not be asked without an error"
    return ", ".join(_forbidding(policy, verdict)) or "no rule permits"

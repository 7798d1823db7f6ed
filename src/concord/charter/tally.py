"""From ballots to an outcome: one pure function over exact fractions.

Laws (tested): another vote in favour never turns `adopted` into anything else; the order of
electors and ballots does not matter; no rounding decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from concord.charter.rules import Elector, Key, Rule, electorate
from concord.charter.weighing import cap_is_raised, shares


class Choice(StrEnum):
    """What a ballot says."""

    YES = "yes"
    NO = "no"
    ABSTAIN = "abstain"


class Result(StrEnum):
    """How a vote ended."""

    ADOPTED = "adopted"
    REJECTED = "rejected"
    NO_QUORUM = "no-quorum"
    VETOED = "vetoed"


@dataclass(frozen=True)
class KeySum:
    """What one key added up."""

    key: str
    """The key in words."""
    in_favour: Fraction
    whole: Fraction
    """What the share is taken of: 1, less those who did not vote or left by abstaining."""
    met: bool


@dataclass(frozen=True)
class Outcome:
    """A vote's result with everything it follows from."""

    result: Result
    reasons: tuple[str, ...]
    sums: tuple[KeySum, ...]
    uncounted: Mapping[str, str]
    """Ballots that do not count, with the reason."""

    @property
    def adopted(self) -> bool:
        return self.result is Result.ADOPTED

    def document(self) -> dict[str, Any]:
        """The outcome as JSON; fractions as text."""
        return {
            "result": str(self.result),
            "reasons": list(self.reasons),
            "sums": [
                {
                    "key": one.key,
                    "in_favour": str(one.in_favour),
                    "whole": str(one.whole),
                    "met": one.met,
                }
                for one in self.sums
            ],
            "uncounted": dict(self.uncounted),
        }


def tally(
    rule: Rule,
    electors: Sequence[Elector],
    ballots: Mapping[str, Choice],
    *,
    subject: str | None = None,
) -> Outcome:
    """Count a vote.

    Checked in this order: quorum, veto, keys. Whether a ballot is late, doubled or under another
    charter is for the log to say: pass the ballots that stand.

    Args:
        rule: The rule that the proposal's kind demands.
        electors: All members with a vote, in any order.
        ballots: The last valid ballot of each member; others' are listed as not counted.
        subject: The member that the proposal is about, if any.

    Raises:
        CharterError: an elector is named twice, or lacks a number that the rule counts by.
    """
    voters = electorate(rule, electors, subject)
    names = [voter.id for voter in voters]
    cast = {name: Choice(ballots[name]) for name in names if name in ballots}
    uncounted = {
        name: _why_uncounted(name, rule, subject) for name in sorted(ballots) if name not in cast
    }
    against = [name for name, choice in cast.items() if choice is Choice.NO]
    sums = tuple(_sum(key, rule, voters, cast) for key in rule.all)
    quorum = rule.quorum_of(len(voters))
    facts = [f"{len(cast)} of {len(voters)} voted; the quorum is {quorum}"]
    if not voters or len(cast) < quorum:
        facts[0] += " and is missed"
        return Outcome(Result.NO_QUORUM, tuple(facts), sums, uncounted)
    if rule.veto is not None and len(against) >= rule.veto:
        facts.append(
            f"vetoed: {len(against)} against, {rule.veto} are enough: {', '.join(against)}"
        )
        return Outcome(Result.VETOED, tuple(facts), sums, uncounted)
    facts += [_raised(key, len(voters)) for key in rule.all if cap_is_raised(key, len(voters))]
    facts += [_told(one) for one in sums]
    missed = [key for key, one in zip(rule.all, sums, strict=True) if not one.met]
    if missed and _waived(rule, missed, voters, cast):
        facts.append(f"fewer than {rule.blocking} are not in favour: weighted keys do not block")
        missed = []
    result = Result.REJECTED if missed else Result.ADOPTED
    return Outcome(result, tuple(facts), sums, uncounted)


def _sum(key: Key, rule: Rule, voters: Sequence[Elector], cast: Mapping[str, Choice]) -> KeySum:
    share = shares(key, voters) if voters else {}
    in_favour = sum((share[name] for name in _supporters(rule, cast)), Fraction(0))
    whole = sum((share[name] for name in _counted(rule, share, cast)), Fraction(0))
    return KeySum(key.title, in_favour, whole, bool(whole) and key.met(in_favour / whole))


def _supporters(rule: Rule, cast: Mapping[str, Choice]) -> list[str]:
    return [
        name
        for name, choice in cast.items()
        if choice is Choice.YES or (choice is Choice.ABSTAIN and rule.abstain == "for")
    ]


def _counted(rule: Rule, share: Mapping[str, Fraction], cast: Mapping[str, Choice]) -> list[str]:
    """Those whose weights make up the whole."""
    leaves = {
        name for name, choice in cast.items() if choice is Choice.ABSTAIN and rule.abstain == "none"
    }
    among = cast if rule.of == "cast" else share
    return [name for name in among if name not in leaves]


def _waived(
    rule: Rule, missed: Sequence[Key], voters: Sequence[Elector], cast: Mapping[str, Choice]
) -> bool:
    """Whether only weighted keys are missed, and too few stand against to block by weight."""
    if rule.blocking is None or any(key.by == "one" for key in missed):
        return False
    counted = _counted(rule, {voter.id: Fraction(0) for voter in voters}, cast)
    return len(counted) - len(_supporters(rule, cast)) < rule.blocking


def _why_uncounted(name: str, rule: Rule, subject: str | None) -> str:
    if rule.excludes == "subject" and name == subject:
        return "the proposal is about this member"
    return "has no vote"


def _told(one: KeySum) -> str:
    share = f"{one.in_favour / one.whole}" if one.whole else "nothing"
    return f"{one.key}: {share} in favour, {'met' if one.met else 'missed'}"


def _raised(key: Key, count: int) -> str:
    return f"{key.title}: the cap cannot hold among {count}; each counts 1/{count}"

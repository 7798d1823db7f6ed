"""Voting rules as data, and who votes by them.

A rule is a list of keys that must all hold. Each key adds up the weights of those in favour by
one measure (heads, speakers, square roots of speakers …) and compares the share, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from concord.base.errors import CharterError
from concord.base.identifiers import check_identifier
from concord.charter.document import Document, ExactFraction, Positive
from concord.charter.fields import Day, Duration, Threshold, day_begins_s

Measure = Literal["one", "speakers", "population", "sqrt:speakers", "sqrt:population"]
MAX_ELECTORS = 250
"""More than there are states."""
MAX_COUNT = 10**10
"""Speakers or population of one elector; more than live on Earth."""
MAX_CAP_DENOMINATOR = 10_000

_MEASURE_WORDS = {
    "one": "members",
    "speakers": "speakers",
    "population": "population",
    "sqrt:speakers": "square roots of speakers",
    "sqrt:population": "square roots of population",
}


@dataclass(frozen=True, order=True)
class Elector:
    """One that votes. Its numbers come from the log (its admission), never from its ballot.

    Raises:
        CharterError: the id is no name, or a number lies outside 0 … 10^10.
    """

    id: str
    speakers: int = 0
    """Speakers of its languages; 0 if not stated, which a rule that counts them refuses."""
    population: int = 0
    owner: str = ""
    """Legal owner; empty means the member itself."""

    def __post_init__(self) -> None:
        check_identifier(self.id, where="elector")
        for name, count in (("speakers", self.speakers), ("population", self.population)):
            if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_COUNT:
                raise CharterError(
                    f"{name} must be a whole number from 0 to {MAX_COUNT:,}", where=self.id
                )


class Key(Threshold):
    """One condition of a rule."""

    by: Measure
    """What is added up: heads (`one`), speakers, population, or the whole part of their square
    roots. Never compute, tokens or money."""
    cap: ExactFraction = Fraction(1)
    """Largest share of one elector; what is over it is spread over the others in proportion. A cap
    below one n-th of n electors is raised to that, and the outcome says so."""

    @model_validator(mode="after")
    def _cap_checked(self) -> Self:
        if not 0 < self.cap <= 1 or self.cap.denominator > MAX_CAP_DENOMINATOR:
            raise ValueError(
                f"cap must be above 0, at most 1, with a denominator up to {MAX_CAP_DENOMINATOR:,}"
            )
        return self

    @property
    def title(self) -> str:
        """The key in words, such as `square roots of speakers, at least 1/2, cap 1/4`."""
        cap = f", cap {self.cap}" if self.cap != 1 else ""
        return f"{_MEASURE_WORDS[self.by]}, {self.words}{cap}"


class Rule(Document):
    """How a proposal is adopted. All keys must hold."""

    all: Annotated[tuple[Key, ...], Field(min_length=1, max_length=8)]
    """The keys."""
    quorum: ExactFraction = Fraction(0)
    """Share of those entitled who must vote; an abstention counts as a vote here."""
    of: Literal["all", "cast"] = "all"
    """What a key's share is of: all who may vote, or those who did."""
    abstain: Literal["against", "for", "none"] = "against"
    """What an abstention counts as; with `none` it leaves the whole that shares are taken of."""
    excludes: Literal["nobody", "subject"] = "nobody"
    """`subject`: the member that the proposal is about does not vote."""
    blocking: Positive | None = None
    """Blocking minority: weighted keys stop a proposal only if so many are not in favour."""
    veto: Positive | None = None
    """So many votes against defeat a proposal, whatever the keys say."""
    unanimous: bool = False
    """That one member alone can block is intended here; the power lint then only names it."""
    open_for: Duration = 0
    """How long ballots are accepted after the proposal; 0: until the decision."""
    delay: Duration = 0
    """From adoption until it takes effect."""
    until: Day | None = None
    """Sunset: from this day on nothing can be adopted by the rule. Renewal is an amendment."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not 0 <= self.quorum <= 1:
            raise ValueError("quorum must lie between 0 and 1")
        if self.blocking is not None and len({key.by == "one" for key in self.all}) < 2:
            raise ValueError("blocking needs a weighted key to limit, and a key by 'one' beside it")
        return self

    def expired(self, now_s: float) -> bool:
        """Whether the rule's sunset has come, at a time in seconds since 1970."""
        return self.until is not None and now_s >= day_begins_s(self.until)

    def quorum_of(self, count: int) -> int:
        """Ballots that make the quorum among so many voters."""
        return -int(-self.quorum * count // 1)


def electorate(
    rule: Rule, electors: Sequence[Elector], subject: str | None = None
) -> tuple[Elector, ...]:
    """Those who may vote on a proposal, sorted by id.

    Raises:
        CharterError: an elector is named twice, or there are more than 250.
    """
    if len(electors) > MAX_ELECTORS:
        raise CharterError(f"{len(electors):,} electors are over the limit of {MAX_ELECTORS:,}")
    ids = [elector.id for elector in electors]
    if len(set(ids)) != len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise CharterError(f"named twice among the electors: {', '.join(twice)}")
    excluded = subject if rule.excludes == "subject" else None
    return tuple(sorted(elector for elector in electors if elector.id != excluded))

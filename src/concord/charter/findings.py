"""What the lint finds about one voting rule, today and after any one departure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from concord.charter.game import game_of
from concord.charter.power import PowerReport, Weaknesses, analyse, weaknesses
from concord.charter.rules import Elector, Rule, electorate
from concord.charter.tally import Choice, tally
from concord.charter.weighing import cap_is_raised

JUDGED_FROM = 3
"""Voters from which on a finding is an error: of two, each must block or one alone passes."""


@dataclass(frozen=True)
class Case:
    """Who votes, and why it is these."""

    voters: tuple[Elector, ...]
    words: str

    @property
    def judged(self) -> bool:
        return len(self.voters) >= JUDGED_FROM


@dataclass(frozen=True)
class Findings:
    """Sentences about one rule."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    intended: tuple[str, ...]
    power: PowerReport | None
    """Of today's members; None if nobody votes."""


def cases(rule: Rule, electors: Sequence[Elector]) -> Iterator[Case]:
    """Today's voters, and those after any single departure; each without each possible subject.

    Where heads alone count, one departure is like another.
    """
    everyone = electorate(rule, electors)
    alike = all(key.by == "one" for key in rule.all)
    yield from _subjects(rule, everyone, "", alike=alike)
    for gone in everyone[:1] if alike else everyone:
        left = tuple(elector for elector in everyone if elector is not gone)
        words = f"after {'one member' if alike else gone.id} leaves"
        yield from _subjects(rule, left, words, alike=alike)


def _subjects(
    rule: Rule, electors: tuple[Elector, ...], words: str, *, alike: bool
) -> Iterator[Case]:
    if rule.excludes == "nobody":
        yield Case(electors, words)
        return
    for subject in electors[:1] if alike else electors:
        voters = electorate(rule, electors, subject.id)
        about = f"in a vote on {'one member' if alike else subject.id}"
        yield Case(voters, " ".join(filter(None, [words, about])))


def examine(name: str, rule: Rule, electors: Sequence[Elector]) -> Findings:
    """Judge one rule.

    Raises:
        CharterError: an elector lacks a number that the rule counts by, or the rule is too large.
    """
    found: dict[bool, dict[str, list[str]]] = {True: {}, False: {}}
    intended: tuple[str, ...] = ()
    for case in cases(rule, electors):
        if len(case.voters) < 2:
            continue
        weak = weaknesses(rule, case.voters)
        if rule.unanimous and weak.blocks_alone:
            intended = (f"rule {name}: one member alone can block, as intended",)
            weak = Weaknesses(weak.passes_alone, (), weak.powerless)
        for sentence in _sentences(weak, case):
            found[case.judged].setdefault(sentence, []).append(case.words)
    power = _power(rule, electors)
    return Findings(
        errors=(*_merged(name, found[True]), *_absent(name, rule, electors)),
        warnings=(*_merged(name, found[False]), *_remarks(name, rule, electors, power)),
        intended=intended,
        power=power,
    )


def _sentences(weak: Weaknesses, case: Case) -> Iterator[str]:
    few = "" if case.judged else f" (only {len(case.voters)} vote)"
    if weak.passes_alone:
        yield f"{_names(weak.passes_alone, case)} can pass a proposal alone{few}"
    if weak.blocks_alone:
        yield f"{_names(weak.blocks_alone, case)} can block a proposal alone{few}"
    if weak.powerless:
        yield f"{_names(weak.powerless, case)} can never change an outcome{few}"


def _names(members: Sequence[str], case: Case) -> str:
    if len(members) == len(case.voters):
        return f"each of the {len(members)} voters"
    return ", ".join(members)


def _merged(name: str, found: dict[str, list[str]]) -> Iterator[str]:
    """One sentence for all cases in which it holds."""
    for sentence, words in found.items():
        shown = "" if "" in words else f", {words[0]}"
        more = f", and in {len(words) - 1} other case(s)" if shown and len(words) > 1 else ""
        yield f"rule {name}: {sentence}{shown}{more}"


def _power(rule: Rule, electors: Sequence[Elector]) -> PowerReport | None:
    """Power today; of a rule that excludes its subject, with nobody excluded."""
    return analyse(rule, electors) if electors else None


def _absent(name: str, rule: Rule, electors: Sequence[Elector]) -> Iterator[str]:
    """Whether one vote is enough where all others stay away."""
    if rule.of == "cast" and len(electors) >= JUDGED_FROM:
        alone = [e.id for e in electors if tally(rule, electors, {e.id: Choice.YES}).adopted]
        if alone:
            yield f"rule {name}: {', '.join(alone)} can pass a proposal alone if others stay away"


def _remarks(
    name: str, rule: Rule, electors: Sequence[Elector], power: PowerReport | None
) -> Iterator[str]:
    if power is None:
        return
    for dead in power.dead_keys:
        yield f"rule {name}: the key '{dead}' decides nothing among {len(electors)} members"
    for key in rule.all:
        if cap_is_raised(key, len(electors)):
            yield f"rule {name}: a cap of {key.cap} cannot hold among {len(electors)}; it is raised"
    if power.banzhaf is None:
        yield f"rule {name}: coalitions are too many to count; power was not measured"
    yield from _owners(name, rule, electors)


def _owners(name: str, rule: Rule, electors: Sequence[Elector]) -> Iterator[str]:
    """What members of one legal owner can do together."""
    game = game_of(rule, electors)
    everyone = set(range(len(electors)))
    for owner in sorted({e.owner for e in electors if e.owner}):
        held = {i for i in everyone if electors[i].owner == owner}
        if 1 < len(held) < len(electors):
            if game.wins(held):
                yield f"rule {name}: the {len(held)} members of {owner} can pass a proposal alone"
            if not rule.unanimous and not game.wins(everyone - held):
                yield f"rule {name}: the {len(held)} members of {owner} can block a proposal alone"

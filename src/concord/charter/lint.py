"""The power lint: a charter under which one member decides alone, or never matters, is refused.

Run when a charter is written, proposed, and at every change of members.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from concord.base.errors import CharterError, CharterRefused
from concord.charter.constitution import Charter, Kind
from concord.charter.fields import Threshold
from concord.charter.findings import JUDGED_FROM, examine
from concord.charter.game import game_of
from concord.charter.power import PowerReport
from concord.charter.rules import Elector, electorate
from concord.charter.strictness import implies


@dataclass(frozen=True)
class LintReport:
    """What the lint found. A charter with errors must not come into force."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    intended: tuple[str, ...]
    """Powers to block that the charter declares (`unanimous = true`)."""
    power: Mapping[str, PowerReport]
    """Of each rule, for the members of today."""


def lint_charter(charter: Charter, electors: Sequence[Elector]) -> LintReport:
    """Judge every rule of a charter for these members, and after any single departure.

    Errors hold where three or more vote; with fewer the same is a warning.

    Raises:
        CharterError: an elector is named twice.
    """
    errors, warnings = list(_cap_errors(charter, electors)), list(_cap_warnings(charter, electors))
    intended: list[str] = []
    power: dict[str, PowerReport] = {}
    for name, rule in sorted(charter.rule.items()):
        everyone = electorate(rule, electors)
        try:
            found = examine(name, rule, everyone)
        except CharterError as error:
            errors.append(f"rule {name}: {error}")
            continue
        errors += found.errors
        warnings += found.warnings
        intended += found.intended
        if found.power is not None:
            power[name] = found.power
    errors += _weaker_rules(charter, electors)
    errors += _blocked_takeover(charter, len(electors))
    warnings += _shares_of_all(charter, len(electors))
    return LintReport(tuple(errors), tuple(warnings), tuple(intended), power)


def refuse_unfair(charter: Charter, electors: Sequence[Elector]) -> LintReport:
    """Lint a charter, and refuse it if there are errors.

    Raises:
        CharterRefused: names every error.
    """
    report = lint_charter(charter, electors)
    if report.errors:
        raise CharterRefused(
            "; ".join(report.errors), where=charter.name, remedy="change the rules that are named"
        )
    return report


def check_cap(cap: Fraction, owners: int) -> None:
    """Refuse an influence cap that cannot hold among so many legal owners.

    Raises:
        CharterRefused: owners times cap is below 1.
    """
    if owners * cap < 1:
        raise CharterRefused(
            f"a cap of {cap} cannot hold among {owners} legal owner(s)",
            where="influence.owner_cap",
            remedy=f"admit at least {-(-1 // cap)} owners, or raise the cap openly",
        )


def owners_of(electors: Sequence[Elector]) -> int:
    """Number of legal owners."""
    return len({elector.owner or elector.id for elector in electors})


def _cap_errors(charter: Charter, electors: Sequence[Elector]) -> Iterator[str]:
    try:
        check_cap(charter.influence.owner_cap, owners_of(electors))
    except CharterRefused as error:
        yield str(error)


def _cap_warnings(charter: Charter, electors: Sequence[Elector]) -> Iterator[str]:
    cap, owners = charter.influence.owner_cap, owners_of(electors)
    if (owners - 1) * cap < 1 <= owners * cap:
        yield f"influence.owner_cap: {cap} cannot hold once an owner leaves: rounds would stop"
    least = charter.rounds.needed(len(electors))
    if least * cap < 1 <= owners * cap:
        yield f"influence.owner_cap: {cap} needs more owners in a round than its quorum of {least}"
    if charter.rounds.min_members > len(electors):
        yield f"rounds.min_members: {charter.rounds.min_members} are more than all members"


def _weaker_rules(charter: Charter, electors: Sequence[Elector]) -> Iterator[str]:
    """Rules that should be stricter than others, and are not."""
    pairs = {(charter.entrenched.rule, charter.uses[Kind.AMEND], "entrenched.rule")}
    for number, mark in enumerate(charter.compute):
        if mark.rule is not None:
            pairs |= {
                (mark.rule, charter.uses[kind], f"compute.{number}.rule")
                for kind in (Kind.RUN, Kind.RELEASE)
            }
    for strict, usual, field in sorted(pairs):
        try:
            voters = electorate(charter.rule[usual], electors)
            games = [game_of(charter.rule[name], voters) for name in (strict, usual)]
            if voters and not implies(*games):
                yield f"{field}: rule {strict} lets pass what rule {usual} does not"
        except CharterError as error:
            yield f"{field}: {error}"


def _blocked_takeover(charter: Charter, members: int) -> Iterator[str]:
    if members >= JUDGED_FROM and charter.coordinator.takeover.needed(members) >= members:
        yield "coordinator.takeover: a coordinator that is gone would have to sign its replacement"


def _shares_of_all(charter: Charter, members: int) -> Iterator[str]:
    """Shares of the members that come down to one of them, or to all."""
    named: list[tuple[str, Threshold]] = [
        ("log.witness_quorum", charter.log.witness_quorum),
        ("oversight.halt_members", charter.oversight.halt_members),
    ]
    for field, share in named:
        needed = share.needed(members)
        if members >= JUDGED_FROM and needed >= members:
            yield f"{field}: {share.words} of {members} members is all: one that is away blocks it"
        if members > 1 and needed <= 1:
            yield f"{field}: {share.words} of {members} members is one"

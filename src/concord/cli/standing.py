"""How a vote stands, with everything it follows from: as data, and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concord.base.digest import Digest
from concord.cli.say import columns, count, say
from concord.ledger.ballots import Uncounted, uncounted
from concord.ledger.entries import Entry
from concord.ledger.sentences import change_words, moment, short
from concord.ledger.state.library import Library
from concord.ledger.state.model import ProposalSeat, State
from concord.ledger.state.votes import stands
from concord.ledger.statements.votes import Expel, Suspend

ABOUT = (Expel, Suspend)
CHOICES = ("yes", "no", "abstain")
STYLES = {"adopted": "bold green", "rejected": "bold red", "vetoed": "bold red"}


@dataclass(frozen=True)
class Standing:
    """One vote at one time."""

    proposal: Digest
    seat: ProposalSeat
    rule: str
    outcome: str
    """Its result, if it ended now with the ballots that are here."""
    final: bool
    counts: dict[str, Any]
    """Reasons and exact sums."""
    votes: Mapping[str, str]
    """Choice of each member whose ballot counts."""
    missing: tuple[str, ...]
    left_out: tuple[Uncounted, ...]

    @property
    def closes(self) -> int:
        return self.seat.closes

    @property
    def decided(self) -> str | None:
        """What was decided, if it was."""
        return self.seat.outcome

    def document(self) -> dict[str, Any]:
        """All of it as JSON; fractions as text."""
        return {
            "proposal": self.proposal,
            "title": self.seat.title,
            "by": self.seat.by,
            "change": self.seat.change.model_dump(mode="json"),
            "opened": self.seat.opened,
            "closes": self.seat.closes,
            "comments": self.seat.comments,
            "decided": self.decided,
            "rule": self.rule,
            "as_it_stands": self.counts,
            "final": self.final,
            "votes": dict(self.votes),
            "missing": list(self.missing),
            "not_counted": [vars(one) for one in self.left_out],
        }


def standing_of(
    state: State, entries: Sequence[Entry], library: Library, proposal: Digest, now: int
) -> Standing:
    """Count one vote.

    Raises:
        StatementRefused: there is no such proposal, or its rule has ended.
    """
    seat = state.proposal(proposal)
    if seat.outcome is not None:
        votes = {member: vote.choice for member, vote in sorted(seat.votes.items())}
        return Standing(proposal, seat, seat.rule or "", seat.outcome, True, {}, votes, (), ())
    found = stands(state, seat, now=now, library=library)
    left_out = uncounted(entries, proposal, found)
    excluded = {*found.outcome.uncounted, *_subject(state, seat, found.rule, library)}
    votes = {m: seat.votes[m].choice for m in found.counted if m not in excluded}
    return Standing(
        proposal=proposal,
        seat=seat,
        rule=found.rule,
        outcome=str(found.outcome.result),
        final=found.final,
        counts=found.outcome.document(),
        votes=votes,
        missing=tuple(m for m in state.voters(now) if m not in votes and m not in excluded),
        left_out=left_out,
    )


def _subject(state: State, seat: ProposalSeat, rule: str, library: Library) -> set[str]:
    """The member that a proposal is about, where it has no vote on itself."""
    about_itself = library.charter(state.charter).rule[rule].excludes == "subject"
    return {seat.change.member} if about_itself and isinstance(seat.change, ABOUT) else set()


def tell_standing(one: Standing) -> None:
    """Print how a vote stands."""
    seat = one.seat
    say(f"proposal {short(one.proposal)}  {seat.title}", style="bold")
    say(f"  {seat.by} proposes to {change_words(seat.change)}; {count(seat.comments, 'comment')}")
    if one.decided is not None:
        say(f"  decided by rule {seat.rule}: {one.decided}", style=STYLES.get(one.decided, ""))
        return
    over = "final" if one.final else f"open until {moment(seat.closes)}"
    style = STYLES.get(one.outcome, "")
    say(f"  as it stands, by rule {one.rule}: {one.outcome} ({over})", style=style)
    for reason in one.counts["reasons"]:
        say(f"    {reason}")
    rows = [[c, ", ".join(m for m, v in one.votes.items() if v == c) or "-"] for c in CHOICES]
    rows.append(["missing", ", ".join(one.missing) or "-"])
    for line in columns(rows, indent="  "):
        say(line)
    for left in one.left_out:
        say(f"  not counted: {left.choice} of {left.member} (entry {left.index}): {left.reason}")

"""Votes as they fell: every proposal, who voted what and when, and what was decided. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from concord.base.errors import ConcordError
from concord.ledger.ballots import Uncounted, uncounted
from concord.ledger.state.votes import stands
from concord.observatory.pages.book import VoteBook
from concord.observatory.pages.source import Source


@dataclass(frozen=True)
class Vote:
    """One proposal, and how it stands."""

    book: VoteBook
    outcome: str
    """What was decided; of an open vote, what it would come to now."""
    open: bool
    reasons: tuple[str, ...]
    missing: tuple[str, ...]
    """Voters without a ballot, while the vote is open."""
    left_out: tuple[Uncounted, ...]

    def count(self, choice: str) -> int:
        """Members whose last ballot says so."""
        last = {one.member: one.choice for one in self.book.ballots}
        return sum(one == choice for one in last.values())


@dataclass(frozen=True)
class Decisions:
    """The page about decisions."""

    open: tuple[Vote, ...]
    decided: tuple[Vote, ...]
    """Newest first."""
    members: tuple[str, ...]


def decisions(source: Source) -> Decisions:
    """What the page about decisions shows."""
    found = [_vote(source, book) for book in source.book.votes.values()]
    return Decisions(
        open=tuple(sorted((v for v in found if v.open), key=lambda v: v.book.closes)),
        decided=tuple(reversed([vote for vote in found if not vote.open])),
        members=tuple(source.state.seated()),
    )


def _vote(source: Source, book: VoteBook) -> Vote:
    seat = source.state.proposals[book.proposal]
    if seat.outcome is not None:
        return Vote(book, seat.outcome, False, (), (), ())
    try:
        found = stands(source.state, seat, now=source.made, library=source.archive.replica.library)
    except ConcordError as error:  # its rule has ended: nothing can be adopted by it
        return Vote(book, "", True, (error.message,), (), ())
    cast = {one.member for one in book.ballots}
    return Vote(
        book=book,
        outcome=str(found.outcome.result),
        open=True,
        reasons=tuple(found.outcome.document()["reasons"]),
        missing=tuple(name for name in source.state.voters(source.made) if name not in cast),
        left_out=uncounted(source.entries, book.proposal, found),
    )

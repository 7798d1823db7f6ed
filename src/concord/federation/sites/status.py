"""How a federation stands, from its log alone: members, runs, rounds, bytes, refusals, the head.

The same at the coordinator, at a member's home with its copy of the log, and for a stranger with a
published copy. Nobody has to answer a question for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from concord.charter.document import Document
from concord.ledger.archive import Archive
from concord.ledger.entries import Entry
from concord.ledger.state.model import State
from concord.ledger.statements.rounds import (
    MeasureRefused,
    Refused,
    RoundCommitted,
    RoundVoid,
    UpdateSent,
)

LATELY = 10
"""Rounds over which throughput is taken."""


class MemberStatus(Document):
    """One member."""

    member: str
    standing: str
    halted: bool
    last_seen: int | None
    """Unix seconds of the last statement that it signed; None if it never did."""
    rounds: int
    """Rounds that its updates went into."""
    refusals: int
    """Rounds and measurements that it refused."""
    left_out: int
    """Rounds that closed without its update, though it was called."""
    reason: str
    """Of the last refusal or of the last round that it was left out of."""
    bytes_up: int
    bytes_down: int


class RunStatus(Document):
    """One run."""

    run: str
    standing: str
    rounds: int
    of: int
    plan_open: bool
    """Whether a round is called and not decided yet."""
    members: tuple[str, ...]
    """Whose updates the last round took."""
    tokens_per_s: float | None
    """Over the last rounds, between their statements in the log; None before the second."""
    round_s: float | None
    """Mean time from one committed round to the next, likewise."""
    last: int | None
    """Unix seconds of the last committed round."""
    voids: int
    """Rounds that were called and came to nothing."""


class Status(Document):
    """A whole federation."""

    federation: str
    name: str
    coordinator: str
    term: int
    entries: int
    root: str
    witnesses: tuple[str, ...]
    witnesses_needed: int
    last: int
    """Unix seconds of the latest statement."""
    members: tuple[MemberStatus, ...]
    runs: tuple[RunStatus, ...]


@dataclass
class _Member:
    last_seen: int | None = None
    refusals: int = 0
    left_out: int = 0
    reason: str = ""
    bytes_up: int = 0
    bytes_down: int = 0


@dataclass
class _Run:
    tokens: dict[str, int] = field(default_factory=dict)
    """Of the open round, by digest of the update."""
    lately: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=LATELY + 1))
    """Time and merged tokens of the last committed rounds."""
    members: tuple[str, ...] = ()
    voids: int = 0


def status_of(archive: Archive, *, now_s: int) -> Status:
    """How a federation stands, by its log.

    Args:
        archive: The log, read and checked.
        now_s: Unix seconds.
    """
    state, note = archive.state, archive.note
    members, runs = _gathered(archive.entries)
    return Status(
        federation=state.federation or "",
        name=state.name,
        coordinator=state.coordinator.member,
        term=state.term,
        entries=note.checkpoint.size,
        root=note.checkpoint.root.hex(),
        witnesses=tuple(sorted(archive.replica.witnesses(note))),
        witnesses_needed=archive.replica.quorum_needed(),
        last=state.time,
        members=tuple(_member(state, m, members.get(m, _Member()), now_s) for m in state.seated()),
        runs=tuple(_run(archive, digest, runs.get(digest, _Run())) for digest in state.runs),
    )


def _gathered(entries: Iterable[Entry]) -> tuple[dict[str, _Member], dict[str, _Run]]:
    members: dict[str, _Member] = {}
    runs: dict[str, _Run] = {}
    for entry in entries:
        statement = entry.statement
        author, run = statement.author, statement.binding.run
        if author.role == "member":
            seen = members.setdefault(author.party, _Member())
            seen.last_seen = max(seen.last_seen or 0, statement.time)
            if isinstance(statement.body, Refused | MeasureRefused):
                seen.refusals += 1
                seen.reason = statement.body.reason
        if run is not None:
            _of_run(statement.body, statement.time, runs.setdefault(run, _Run()), members)
    return members, runs


def _of_run(body: object, time: int, run: _Run, members: dict[str, _Member]) -> None:
    match body:
        case UpdateSent():
            run.tokens[body.update] = body.tokens
        case RoundVoid():
            run.voids += 1
            run.tokens.clear()
        case RoundCommitted():
            merged = [run.tokens.get(one.update, 0) for one in body.merged.values()]
            run.lately.append((time, sum(merged)))
            run.members = tuple(sorted(body.merged))
            run.tokens.clear()
            for member, reason in body.left_out.items():
                seat = members.setdefault(member, _Member())
                seat.left_out += 1
                seat.reason = reason
            for member, count in body.bytes_up.items():
                members.setdefault(member, _Member()).bytes_up += count
            for member, count in body.bytes_down.items():
                members.setdefault(member, _Member()).bytes_down += count


def _member(state: State, name: str, found: _Member, now_s: int) -> MemberStatus:
    seat = state.member(name)
    suspended = state.suspended(name, now_s)
    return MemberStatus(
        member=name,
        standing="suspended" if suspended else seat.standing,
        halted=state.halt_of(name, now_s) is not None,
        last_seen=found.last_seen,
        rounds=seat.rounds,
        refusals=found.refusals,
        left_out=found.left_out,
        reason=found.reason,
        bytes_up=found.bytes_up,
        bytes_down=found.bytes_down,
    )


def _run(archive: Archive, digest: str, found: _Run) -> RunStatus:
    seat = archive.state.runs[digest]
    begin, end = (found.lately[0][0], found.lately[-1][0]) if found.lately else (0, 0)
    between = len(found.lately) - 1
    tokens = sum(count for _, count in list(found.lately)[1:])
    spent_s = end - begin
    return RunStatus(
        run=seat.name,
        standing=seat.standing,
        rounds=seat.rounds,
        of=archive.replica.library.run(digest).rounds.count,
        plan_open=seat.plan is not None,
        members=found.members,
        tokens_per_s=tokens / spent_s if between > 0 and spent_s > 0 else None,
        round_s=spent_s / between if between > 0 and spent_s > 0 else None,
        last=end or None,
        voids=found.voids,
    )

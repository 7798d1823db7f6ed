"""The page for auditors: what was checked, the tree, gate evidence, bases, and how to recompute.

Pure, but for the cosignatures, which are checked here again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from concord.base.digest import Digest
from concord.ledger.state.release_gates import judge
from concord.ledger.verify_terms import STEPS
from concord.observatory.pages.book import GateRun
from concord.observatory.pages.source import Source

READ_HERE = {"statements", "checkpoint"}
"""Steps of a verification that reading a log for these pages takes anyway."""


@dataclass(frozen=True)
class Checked:
    """One step of the verification."""

    number: int
    name: str
    title: str
    passed: bool | None
    """None: it was not taken when this page was made."""
    found: str


@dataclass(frozen=True)
class Tree:
    """The log's tree, and who vouches for it."""

    origin: str
    size: int
    root: str
    levels: tuple[int, ...]
    """Whole subtrees at each level, from the entries up."""
    cosigned: Mapping[str, int]
    needed: int
    members: int


@dataclass(frozen=True)
class RunLine:
    """One run as the log has it."""

    name: str
    document: Digest
    standing: str
    rounds: int
    first_base: Digest | None
    base: Digest | None
    computed_again: bool


@dataclass(frozen=True)
class Verdict:
    """One gate of the charter, for one model."""

    model: Digest
    gate: str
    metric: str
    limit: str
    blocking: bool
    status: str
    reason: str


@dataclass(frozen=True)
class Quarantine:
    """Updates that the probe gate kept out of a round."""

    entry: int
    run: str
    round: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class LeftOut:
    """Rounds that one member was left out of for one reason."""

    member: str
    reason: str
    run: str
    rounds: tuple[int, ...]


@dataclass(frozen=True)
class Auditor:
    """The page for auditors."""

    federation: Digest
    name: str
    state: Digest
    charter: Digest
    coordinator: str
    term: int
    steps: tuple[Checked, ...]
    verified: bool
    """Whether bases were computed again when this page was made."""
    tree: Tree
    kinds: Mapping[str, int]
    signatures: int
    runs: tuple[RunLine, ...]
    verdicts: tuple[Verdict, ...]
    gates: tuple[GateRun, ...]
    quarantined: tuple[Quarantine, ...]
    left_out: tuple[LeftOut, ...]
    faults: tuple[str, ...]


def auditor(source: Source) -> Auditor:
    """What the page for auditors shows."""
    state, verdict = source.state, source.verdict
    again = {run["document"] for run in (verdict or {}).get("runs", ()) if run["computed_again"]}
    return Auditor(
        federation=state.federation or "",
        name=state.name,
        state=source.archive.state.digest,
        charter=state.charter,
        coordinator=state.coordinator.member,
        term=state.term,
        steps=_steps(source, verdict),
        verified=bool(again),
        tree=_tree(source),
        kinds=dict(sorted(source.book.kinds.items())),
        signatures=source.book.signatures,
        runs=tuple(
            RunLine(
                name=seat.name,
                document=document,
                standing=seat.standing,
                rounds=seat.rounds,
                first_base=seat.first_base,
                base=seat.base,
                computed_again=document in again,
            )
            for document, seat in state.runs.items()
        ),
        verdicts=_verdicts(source),
        gates=tuple(source.book.gates),
        quarantined=tuple(
            Quarantine(index, source.run_name(run), round_, members)
            for index, run, round_, members in source.book.quarantined
        ),
        left_out=_left_out(source),
        faults=source.faults,
    )


def _steps(source: Source, verdict: Mapping[str, Any] | None) -> tuple[Checked, ...]:
    if verdict is None:
        size = f"{len(source.entries):,} statements, {source.book.signatures:,} signatures"
        found = {"statements": size, "checkpoint": "signed by the log in force"}
        return tuple(
            Checked(number, name, title, True if name in READ_HERE else None, found.get(name, ""))
            for number, (name, title) in enumerate(STEPS, 1)
            if name != "others"
        )
    taken = {step["name"]: step for step in verdict["steps"]}
    return tuple(
        Checked(
            number,
            name,
            title,
            taken[name]["passed"] if name in taken else None,
            taken[name]["found"] if name in taken else "",
        )
        for number, (name, title) in enumerate(STEPS, 1)
        if name in taken or name != "others"
    )


def _verdicts(source: Source) -> tuple[Verdict, ...]:
    """Gates of the charter in force, for released models and the last base of each run."""
    state, library = source.state, source.archive.replica.library
    last = [seat.base for seat in state.runs.values() if seat.base is not None]
    return tuple(
        Verdict(
            model=model,
            gate=one.gate.id,
            metric=one.gate.metric,
            limit=one.gate.limit_words,
            blocking=one.gate.blocking,
            status=one.status,
            reason=one.reason,
        )
        for model in dict.fromkeys([*state.releases.values(), *last])
        for one in judge(state, library, model, source.made)
    )


def _tree(source: Source) -> Tree:
    replica, note = source.archive.replica, source.archive.note
    size = note.checkpoint.size
    return Tree(
        origin=note.checkpoint.origin,
        size=size,
        root=note.checkpoint.root.hex(),
        levels=tuple(size >> level for level in range(size.bit_length())),
        cosigned=dict(sorted(replica.witnesses(note).items())),
        needed=replica.quorum_needed(),
        members=len(source.archive.state.seated()),
    )


def _left_out(source: Source) -> tuple[LeftOut, ...]:
    found: dict[tuple[str, str, Digest], list[int]] = {}
    for one in source.book.rounds:
        for member, reason in one.left_out.items():
            found.setdefault((member, reason, one.run), []).append(one.round)
    return tuple(
        LeftOut(member, reason, source.run_name(run), tuple(rounds))
        for (member, reason, run), rounds in sorted(found.items())
    )

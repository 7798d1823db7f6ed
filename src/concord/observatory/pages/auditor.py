"""The page for auditors: what was checked, the tree, gate evidence, bases, and how to recompute.

Pure, but for the cosignatures, which are checked here again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from concord.base.digest import Digest
from concord.ledger.state.release_gates import judge
from concord.ledger.verify_terms import STEPS
from concord.observatory.pages.book import GateRun
from concord.observatory.pages.people import Absence, absences
from concord.observatory.pages.source import Source


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
    """Whether all bases were computed again when this page was made."""
    tree: Tree
    kinds: Mapping[str, int]
    signatures: int
    runs: tuple[RunLine, ...]
    verdicts: tuple[Verdict, ...]
    gates: tuple[GateRun, ...]
    quarantined: tuple[Quarantine, ...]
    left_out: tuple[Absence, ...]
    faults: tuple[str, ...]


def auditor(source: Source) -> Auditor:
    """What the page for auditors shows."""
    state, tree = source.state, _tree(source)
    again = _computed_again(source)
    return Auditor(
        federation=state.federation or "",
        name=state.name,
        state=source.archive.state.digest,
        charter=state.charter,
        coordinator=state.coordinator.member,
        term=state.term,
        steps=_steps(source, tree),
        verified=source.verdict is not None
        and all(run in again for run, seat in state.runs.items() if seat.base is not None),
        tree=tree,
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
        left_out=tuple(
            one for name in sorted(source.book.members) for one in absences(source, name)
        ),
        faults=source.faults,
    )


def _computed_again(source: Source) -> set[Digest]:
    """Runs whose last base was computed again; the log may have grown since."""
    told = () if source.verdict is None else source.verdict["runs"]
    return {
        run["document"]
        for run in told
        if run["computed_again"] and run["base"] == source.state.runs[run["document"]].base
    }


def _steps(source: Source, tree: Tree) -> tuple[Checked, ...]:
    """Steps of a verification; without one, those that reading the log took anyway."""
    taken = (
        _taken_here(source, tree)
        if source.verdict is None
        else {step["name"]: (step["passed"], step["found"]) for step in source.verdict["steps"]}
    )
    return tuple(
        Checked(number, name, title, *taken.get(name, (None, "")))
        for number, (name, title) in enumerate(STEPS, 1)
        if name in taken or name != "others"
    )


def _taken_here(source: Source, tree: Tree) -> dict[str, tuple[bool, str]]:
    size = f"{len(source.entries):,} statements, {source.book.signatures:,} signatures"
    have = len(tree.cosigned)
    cosigned = f"cosigned by {have} of {tree.members} members, {tree.needed} needed"
    return {"statements": (True, size), "checkpoint": (have >= tree.needed, cosigned)}


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

"""What the log shows for law: joint compute by 6·N·tokens, and evidence by name and time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from concord.base.digest import Digest
from concord.ledger.entries import Entry
from concord.ledger.state.model import State
from concord.ledger.statements.evidence import GateEvidence
from concord.ledger.statements.rounds import UpdateSent
from concord.ledger.statements.sealing import UpdateCommitted

FLOP_PER_WEIGHT_AND_TOKEN = 6
"""Forward and backward of a dense network; attention over the context is left out."""
DATA_DESCRIPTION = "data-description"
"""Evidence that the log holds of itself: a standing dataset record of every member."""


@dataclass(frozen=True)
class RunCompute:
    """What one run cost, by the log."""

    run: Digest
    name: str
    tokens: int
    """Of all updates that were announced, merged or not."""
    declared_flop: int
    """As the members declared it."""
    parameters: int | None
    """None where the first base is not at hand."""

    @property
    def flop(self) -> int:
        """6·N·tokens, or what was declared where that is more."""
        if self.parameters is None:
            return self.declared_flop
        counted = FLOP_PER_WEIGHT_AND_TOKEN * self.parameters * self.tokens
        return max(counted, self.declared_flop)


def compute_ledger(
    state: State, entries: Iterable[Entry], parameters: Callable[[Digest], int | None]
) -> tuple[RunCompute, ...]:
    """The compute of every run.

    Args:
        parameters: Weights of a base, by its digest.
    """
    tokens: dict[Digest, int] = {}
    declared: dict[Digest, int] = {}
    for entry in entries:
        body, run = entry.statement.body, entry.statement.binding.run
        if isinstance(body, UpdateSent | UpdateCommitted) and run is not None:
            tokens[run] = tokens.get(run, 0) + body.tokens
            declared[run] = declared.get(run, 0) + body.flops
    return tuple(
        RunCompute(
            run=run,
            name=seat.name,
            tokens=tokens.get(run, 0),
            declared_flop=declared.get(run, 0),
            parameters=None if seat.first_base is None else parameters(seat.first_base),
        )
        for run, seat in sorted(state.runs.items(), key=lambda item: item[1].name)
    )


def evidence_shown(
    state: State, entries: Iterable[Entry], about: Iterable[Digest]
) -> dict[str, int]:
    """When each piece of evidence was last shown, by name.

    Shown is what somebody declared, with nobody's last word against it: one member that found it
    to have failed keeps it out until it says otherwise.

    Args:
        about: What the evidence may be of: the model, or the federation.
    """
    wanted = set(about)
    last: dict[tuple[str, str], tuple[str, int]] = {}
    for entry in entries:
        body, statement = entry.statement.body, entry.statement
        if isinstance(body, GateEvidence) and body.model in wanted:
            key = (body.gate.replace("_", "-"), statement.author.party)
            last[key] = (body.result, statement.time)
    failed = {name for (name, _), (result, _) in last.items() if result == "failed"}
    found: dict[str, int] = {}
    for (name, _), (result, at) in last.items():
        if result == "passed" and name not in failed:
            found[name] = max(at, found.get(name, at))
    if state.members and all(state.datasets.get(member) for member in state.seated()):
        found.setdefault(DATA_DESCRIPTION, state.time)
    return found

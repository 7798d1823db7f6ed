"""How the state changes with records of data, evidence of gates, and releases."""

from __future__ import annotations

from concord.base.errors import StatementRefused
from concord.charter.constitution import Charter
from concord.ledger.state.library import Library
from concord.ledger.state.model import EvidenceSeat, State, put
from concord.ledger.state.release_gates import check_evidence, require_gates
from concord.ledger.statements.evidence import DatasetRecord, GateEvidence, Release
from concord.ledger.statements.statement import Author, Statement


def record_dataset(state: State, body: DatasetRecord, author: Author) -> State:
    """A member's datasets by name; a revoked one is there no more, and remembered as such."""
    own = dict(state.datasets.get(author.party, {}))
    gone = dict(state.revoked_datasets.get(author.party, {}))
    stood = own.pop(body.dataset, None)
    if body.revoked:
        if stood is None:
            raise StatementRefused(f"{body.dataset!r} was not recorded")
        gone[body.dataset] = stood
    else:
        own[body.dataset] = body.record
        gone.pop(body.dataset, None)
    return state.model_copy(
        update={
            "datasets": put(state.datasets, author.party, own),
            "revoked_datasets": put(state.revoked_datasets, author.party, gone),
        }
    )


def record_evidence(
    state: State, body: GateEvidence, statement: Statement, charter: Charter
) -> State:
    """Results by model, gate and runner; the last one stands."""
    runner = statement.author.party
    check_evidence(state, body, runner, charter)
    seat = EvidenceSeat(
        result=body.result,
        evidence=body.evidence,
        measured=body.measured,
        against=body.against,
        charter=statement.binding.charter,
        time=statement.time,
    )
    by_gate = state.evidence.get(body.model, {})
    results = put(by_gate, body.gate, put(by_gate.get(body.gate, {}), runner, seat))
    return state.model_copy(update={"evidence": put(state.evidence, body.model, results)})


def release(state: State, body: Release, statement: Statement, library: Library) -> State:
    """A version is published; a version is published once, and only past all gates."""
    now = statement.time
    if statement.author.role != "coordinator":
        raise StatementRefused("only the coordinator publishes")
    adopted = any(
        seat.decision == body.decision
        and seat.outcome == "adopted"
        and seat.change.kind == "release"
        and (seat.change.version, seat.change.model) == (body.version, body.model)
        for seat in state.proposals.values()
    )
    if not adopted:
        raise StatementRefused("no adopted decision says to publish this")
    if body.version in state.releases:
        raise StatementRefused(f"version {body.version!r} was published before")
    if state.halt_of_all(now) is not None:
        raise StatementRefused("all are halted")
    require_gates(state, library, body.model, now)
    return state.model_copy(update={"releases": put(state.releases, body.version, body.model)})

"""How the state changes with records of data, evidence of gates, and releases."""

from __future__ import annotations

from concord.base.errors import StatementRefused
from concord.ledger.state.model import State, put
from concord.ledger.statements.evidence import DatasetRecord, GateEvidence, Release
from concord.ledger.statements.statement import Author


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


def record_evidence(state: State, body: GateEvidence, author: Author) -> State:
    """Results by model, gate and runner; the last one stands."""
    results = put(state.evidence.get(body.model, {}), f"{body.gate}/{author.party}", body.result)
    return state.model_copy(update={"evidence": put(state.evidence, body.model, results)})


def release(state: State, body: Release, author: Author) -> State:
    """A version is published; a version is published once."""
    if author.role != "coordinator":
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
    return state.model_copy(update={"releases": put(state.releases, body.version, body.model)})

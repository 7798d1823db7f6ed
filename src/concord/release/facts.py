"""What the log and the objects say of a release: compute, and duties of the law. No torch."""

from __future__ import annotations

from concord.base.digest import Digest
from concord.base.errors import ConcordError
from concord.base.objects import ObjectStore
from concord.base.tensors import TensorFile
from concord.charter.law import Duty, ReleaseFacts, jurisdictions, law_matrix
from concord.ledger.archive import Archive
from concord.ledger.compute import RunCompute, compute_ledger, evidence_shown
from concord.ledger.layouts import parameter_count
from concord.ledger.state.model import State


def runs_compute(archive: Archive, objects: ObjectStore) -> tuple[RunCompute, ...]:
    """The compute of every run, by 6·N·tokens or as declared where that is more."""
    return compute_ledger(archive.state, archive.entries, lambda base: _weights(objects, base))


def joint_flop(archive: Archive, objects: ObjectStore) -> int:
    """Compute of all members and rounds, in FLOP."""
    return sum(run.flop for run in runs_compute(archive, objects))


def release_duties(archive: Archive, objects: ObjectStore, *, now: int) -> tuple[Duty, ...]:
    """The law matrix of a release in every place that has a law file."""
    state = archive.state
    bundle = archive.replica.library.bundle(state.charter)
    facts = ReleaseFacts(
        now=now,
        flop=joint_flop(archive, objects),
        licence=bundle.charter.rights.licences[0],
        markets=jurisdictions(bundle),
        evidence=evidence_shown(state, archive.entries, _about(state)),
    )
    return law_matrix(bundle, facts)


def _about(state: State) -> list[Digest]:
    bases = [seat.base for seat in state.runs.values()]
    return [digest for digest in (state.federation, *bases) if digest is not None]


def _weights(objects: ObjectStore, base: Digest) -> int | None:
    try:
        return parameter_count(TensorFile(objects.path(base)).specs)
    except (ConcordError, OSError):
        return None

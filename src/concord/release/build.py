"""A release made from a run: model, papers, evidence, log; in one place, whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from concord.base.digest import Digest, digest_bytes
from concord.base.errors import DocumentError, VerificationFailed
from concord.base.files import storage_errors, sync_folder, write_atomic
from concord.base.objects import ObjectStore
from concord.base.tensors import TensorFile
from concord.ledger.archive import Archive
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import ProposalSeat, RunSeat, State
from concord.release.folder import APART, ReleaseFolder, check_paths
from concord.release.gate_files import Given, copy_evidence, given_evidence
from concord.release.ledger import DECISION_PROOF, MANIFEST_PROOF, MODEL_PROOF, write_ledger
from concord.release.manifest import FileEntry, Manifest, hash_files
from concord.release.weights import base_weights_digest, weights_digest

Exporter = Callable[[Path], object]
"""Writes files of a release into its folder, which is there for all but the first."""


@dataclass(frozen=True)
class Candidate:
    """A base that is to be released, as the log knows it."""

    archive: Archive
    objects: ObjectStore
    version: str
    document: Digest
    """Of the run."""
    seat: RunSeat
    model: Digest
    now: int

    @property
    def state(self) -> State:
        return self.archive.state

    @property
    def library(self) -> ObjectLibrary:
        return ObjectLibrary(self.objects)

    @property
    def decision(self) -> Digest | None:
        """The adopted decision to publish this base as this version."""
        return decision_about(self.state, self.version, self.model)


def candidate(
    archive: Archive, objects: ObjectStore, *, run: str | None, version: str, now: int
) -> Candidate:
    """The last base of a run.

    Args:
        run: Name of the run; the only one that has a base if None.

    Raises:
        DocumentError: there is no such run, or it has no committed round.
    """
    runs = {s.name: (d, s) for d, s in archive.state.runs.items() if s.rounds and s.base}
    if run is None and len(runs) == 1:
        run = next(iter(runs))
    if run not in runs:
        raise DocumentError(
            f"runs with a committed round: {', '.join(sorted(runs)) or 'none'}",
            where="--run",
            remedy="name one of them",
        )
    document, seat = runs[run]
    return Candidate(archive, objects, version, document, seat, seat.base or "", now)


def decision_about(state: State, version: str, model: Digest) -> Digest | None:
    """The adopted decision to publish a base as a version."""
    for seat in state.proposals.values():
        if seat.outcome == "adopted" and _is_of(seat, version, model):
            return seat.decision
    return None


def _is_of(seat: ProposalSeat, version: str, model: Digest) -> bool:
    change = seat.change
    return change.kind == "release" and (change.version, change.model) == (version, model)


def build_release(
    made_of: Candidate,
    source: Path,
    release: ReleaseFolder,
    *,
    exporters: Sequence[Exporter],
    release_key: str | None = None,
    sign: Callable[[ReleaseFolder], object] | None = None,
) -> Manifest:
    """Write a release.

    Args:
        made_of: What is released.
        source: The federation's folder.
        release: Where; an earlier candidate in that place is replaced.
        exporters: The first writes the model folder, the others what belongs beside it.
        release_key: Public key (PEM) of `sign`.
        sign: Signs the finished folder.

    Raises:
        DocumentError: the version was published, or something else lies in that place.
        VerificationFailed: the exported weights are not those of the base.
        StorageError: the disk is full or the place cannot be written; nothing new is left behind.
    """
    _check_place(made_of, release)
    with storage_errors(release.root):
        release.root.parent.mkdir(parents=True, exist_ok=True)
    holder = release.root.with_name(f".{release.root.name}.{secrets.token_hex(4)}.part")
    new = ReleaseFolder(holder / release.root.name)
    try:
        with storage_errors(holder):
            holder.mkdir()
        for export in exporters:
            export(new.root)
        with storage_errors(new.root):
            copy_evidence(evidence_of(made_of), made_of.objects, new.root)
        manifest = _manifest(made_of, new, release_key)
        write_atomic(new.manifest, manifest.data)
        write_atomic(new.sums, manifest.sums())
        if sign is not None:
            sign(new)
        write_ledger(source, new, proofs_of(manifest, published=False))
        _move_into_place(new.root, release.root)
    finally:
        with suppress(OSError):
            shutil.rmtree(holder, ignore_errors=True)
    return manifest


def evidence_of(made_of: Candidate) -> list[Given]:
    """Evidence of the charter's gates that the log holds of the base."""
    charter = made_of.library.charter(made_of.state.charter)
    return given_evidence(made_of.archive, charter, made_of.model, until=made_of.now)


def proofs_of(manifest: Manifest, *, published: bool) -> dict[str, Digest]:
    """What the ledger of a release has proofs of, by the name of each one's file."""
    found = {MODEL_PROOF: manifest.model}
    if manifest.decision is not None:
        found[DECISION_PROOF] = manifest.decision
    if published:
        found[MANIFEST_PROOF] = digest_bytes(manifest.data)
    return found


def _check_place(made_of: Candidate, release: ReleaseFolder) -> None:
    if made_of.version in made_of.state.releases:
        raise DocumentError(
            f"version {made_of.version!r} was published before",
            where="--version",
            remedy="choose another version; what was published does not change",
        )
    root = release.root
    if root.exists() and any(root.iterdir()) and not release.manifest.is_file():
        raise DocumentError(
            "is not empty, and no release", where=root, remedy="choose another folder"
        )


def _manifest(made_of: Candidate, new: ReleaseFolder, release_key: str | None) -> Manifest:
    weights = _checked_weights(made_of, new)
    paths = sorted(
        path.relative_to(new.root).as_posix() for path in new.root.rglob("*") if path.is_file()
    )
    check_paths(paths)
    digests: Mapping[str, Digest] = hash_files(new.root, paths)
    run = made_of.library.run(made_of.document)
    return Manifest(
        federation=made_of.state.federation or "",
        name=made_of.state.name,
        version=made_of.version,
        run=made_of.document,
        run_name=run.name,
        rounds=made_of.seat.rounds,
        model=made_of.model,
        weights=weights,
        charter=made_of.state.charter,
        licence=run.use.model_licence,
        decision=made_of.decision,
        built=made_of.now,
        release_key=release_key,
        files={
            path: FileEntry(
                bytes=(new.root / path).stat().st_size, sha256=digests[path].partition(":")[2]
            )
            for path in paths
            if path.split("/")[0] not in APART
        },
    )


def _checked_weights(made_of: Candidate, new: ReleaseFolder) -> Digest:
    found = weights_digest(new.weights())
    base = TensorFile(made_of.objects.verified_path(made_of.model))
    if found != base_weights_digest(base):
        raise VerificationFailed(
            f"the exported weights are not those of base {made_of.model}",
            where=new.root.name,
            remedy="export the run again: concord run --resume",
        )
    return found


def _move_into_place(new: Path, place: Path) -> None:
    with storage_errors(place):
        earlier = place.with_name(f".{place.name}.{secrets.token_hex(4)}.earlier")
        if place.exists():
            place.rename(earlier)
        new.rename(place)
        sync_folder(place.parent)
        shutil.rmtree(earlier, ignore_errors=True)

"""The log as it travels with a release: whole, with the documents that one needs to follow it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from concord.base.canonical import canonical_json
from concord.base.digest import Digest
from concord.base.errors import ConcordError, VerificationFailed
from concord.base.files import storage_errors, write_atomic
from concord.base.objects import ObjectStore
from concord.ledger.archive import Archive
from concord.ledger.proof import Proof, check_proof, prove, read_document, trusted_keys
from concord.ledger.publish import copy_log, tiles_of
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.tiles import CHECKPOINT
from concord.release.folder import ReleaseFolder

MANIFEST_PROOF, MODEL_PROOF, DECISION_PROOF = "manifest.json", "model.json", "decision.json"


def open_ledger(release: ReleaseFolder) -> Archive:
    """The log that came with a release, read and checked entry by entry.

    Raises:
        LogError, StatementRefused, SignatureRefused, ForkDetected: it cannot be believed.
    """
    return Archive(release.log, ObjectLibrary(ObjectStore(release.objects)))


def write_ledger(source: Path, release: ReleaseFolder, about: dict[str, Digest]) -> None:
    """Put the log as it is now into a release, in the place of an earlier copy.

    Args:
        source: The federation's folder, or a published copy of it.
        about: Digests that are to have a proof, by the name of its file.

    Raises:
        LogError, StatementRefused: the log cannot be believed.
        StorageError: the release cannot be written.
    """
    objects = ObjectStore(source / "objects")
    archive = Archive(source / "log", ObjectLibrary(objects))
    new = ReleaseFolder(release.root.with_name(f".{release.root.name}.ledger.part"))
    with storage_errors(new.root):
        shutil.rmtree(new.root, ignore_errors=True)
        new.proofs.mkdir(parents=True)
    try:
        copy_log(source / "log", new.log, archive.note)
        copies = ObjectStore(new.objects)
        for digest in documents(archive):
            copies.put(objects.get(digest))
        for name, digest in about.items():
            if (proof := prove(archive, digest)) is not None:
                data = canonical_json(proof.model_dump(mode="json")) + b"\n"
                write_atomic(new.proofs / name, data)
        with storage_errors(release.root):
            shutil.rmtree(release.ledger, ignore_errors=True)
            new.ledger.rename(release.ledger)
    finally:
        shutil.rmtree(new.root, ignore_errors=True)


def documents(archive: Archive) -> list[Digest]:
    """Charters with their files, and run documents, that the log names."""
    library = archive.replica.library
    assert isinstance(library, ObjectLibrary)  # noqa: S101 - made here or by `Archive`'s callers
    found = (library.named_by(entry.statement) for entry in archive.entries)
    return sorted({digest for named in found for digest in named})


def ledger_files(archive: Archive) -> Iterator[str]:
    """Every file that the folder of a ledger holds but proofs, from that folder on."""
    yield f"log/{CHECKPOINT}"
    for tile in tiles_of(archive.note.checkpoint.size):
        yield f"log/{tile.name}"
    store = ObjectStore(Path("objects"))
    for digest in documents(archive):
        yield store.path(digest).as_posix()


def check_proofs(release: ReleaseFolder, archive: Archive, about: dict[str, Digest]) -> int:
    """Check the proofs for readers who do not read the log; returns how many statements they show.

    Raises:
        VerificationFailed: one is missing, of another digest, or does not hold.
    """
    keys, shown = trusted_keys(archive), 0
    for name, digest in about.items():
        path = release.proofs / name
        try:
            proof = read_document(path.read_bytes(), Proof, where=name)
            if proof.digest != digest:
                raise VerificationFailed("is of another digest", where=name)
            if proof.checkpoint.encode() != archive.note.encode():
                raise VerificationFailed("is under another checkpoint", where=name)
            shown += len(check_proof(proof, keys).statements)
        except OSError as error:
            raise VerificationFailed("is missing", where=f"ledger/proofs/{name}") from error
        except ConcordError as error:
            raise VerificationFailed(
                f"the proof does not hold: {error.message}", where=f"ledger/proofs/{name}"
            ) from error
    return shown

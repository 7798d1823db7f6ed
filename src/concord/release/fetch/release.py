"""A release, in the order in which one may believe it.

1. The manifest, and the log with the documents that one needs to follow it: small.
2. Both are verified, and that the members published this manifest, before anything large comes.
3. The files that are wanted, each under the digest that the manifest gives it.
4. Everything that is here is verified once more, from disk.

A call that was killed goes on where it ended. In the folder a file is whole or not there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from concord.base.clock import Clock
from concord.base.digest import Digest
from concord.base.errors import ConcordError, DocumentError, FetchFailed, VerificationFailed
from concord.base.files import storage_errors, write_atomic
from concord.base.objects import ObjectStore
from concord.crypto.notes import Note
from concord.ledger.archive import Archive
from concord.ledger.publish import tiles_of
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.tiles import CHECKPOINT, MAX_BUNDLE_BYTES
from concord.release.build import proofs_of
from concord.release.fetch.download import Line, Told, Wait, is_here
from concord.release.fetch.sources import Source
from concord.release.folder import LEDGER, MANIFEST, SIGNATURE, ReleaseFolder
from concord.release.ledger import documents
from concord.release.manifest import MAX_MANIFEST_BYTES, Manifest, read_manifest
from concord.release.parts import chosen
from concord.release.verify import ReleaseFindings, verify_release

MAX_NOTE_BYTES = 1 << 20
MAX_DOCUMENT_BYTES = 16 << 20
MAX_ENTRIES = 10_000_000
"""What a host may claim of its log, before anything of it was checked. Assumption."""


@dataclass
class Fetched:
    """What a call did."""

    findings: ReleaseFindings
    files: list[str] = field(default_factory=list)
    """Files of the release that were wanted; all are here now."""
    bytes: int = 0
    """Bytes of them that came; the others were here."""


def fetch_release(
    source: Source,
    out: Path,
    *,
    clock: Clock,
    only: Sequence[str] = (),
    federation: Digest | None = None,
    told: Told = lambda _: None,
    total: Told = lambda _: None,
    wait: Wait = time.sleep,
) -> Fetched:
    """Fetch a release to `out`, or parts of it.

    Args:
        out: A new folder, or one that holds parts of the same release.
        only: Parts or paths, see `concord.release.parts`; all if empty.
        federation: The federation that it must be of, as the caller has it from elsewhere.
        told: Is told of bytes as they come.
        total: Is told once how many bytes are wanted, those of the log left out.
        wait: Waits so many seconds before a host is tried again.

    Raises:
        FetchFailed: the host cannot be reached, or lacks a file.
        VerificationFailed: it is not what was published; names the first thing that is wrong.
        DocumentError: `out` holds something else, or nothing is called as `only` says.
        StorageError: the disk is full, or `out` cannot be written.
    """
    release, line = ReleaseFolder(out), Line(source, told, wait)
    manifest = _manifest(line, release)
    wanted = chosen(manifest.files, only)
    _ledger(line, release, manifest)
    verify_release(out, clock=clock, federation=federation, partial=True)
    missing = {
        path: manifest.files[path]
        for path in wanted
        if not is_here(out / path, manifest.files[path])
    }
    total(sum(entry.bytes for entry in missing.values()))
    parts = out.with_name(f".{out.name}.parts")
    with storage_errors(parts):
        parts.mkdir(exist_ok=True)
    came = 0
    for path, entry in sorted(missing.items(), key=lambda pair: pair[1].bytes):
        came += line.fetch(path, entry, out / path, parts)
    if not only and manifest.release_key is not None:
        write_atomic(release.signature, line.read(SIGNATURE, max_bytes=MAX_DOCUMENT_BYTES))
    shutil.rmtree(parts, ignore_errors=True)
    findings = verify_release(
        out,
        clock=clock,
        federation=federation,
        partial=bool(only) and len(wanted) < len(manifest.files),
    )
    return Fetched(findings, wanted, came)


def _manifest(line: Line, release: ReleaseFolder) -> Manifest:
    data = line.read(MANIFEST, max_bytes=MAX_MANIFEST_BYTES)
    if release.manifest.is_file() and release.manifest.read_bytes() != data:
        raise DocumentError(
            "holds another release", where=release.root, remedy="choose another folder"
        )
    if not release.manifest.is_file() and release.root.is_dir() and any(release.root.iterdir()):
        raise DocumentError(
            "is not empty, and no release", where=release.root, remedy="choose another folder"
        )
    with storage_errors(release.root):
        release.root.mkdir(parents=True, exist_ok=True)
    write_atomic(release.manifest, data)
    manifest = read_manifest(release.manifest)
    write_atomic(release.sums, manifest.sums())
    return manifest


def _ledger(line: Line, release: ReleaseFolder, manifest: Manifest) -> None:
    """The log as the host has it now; what is here already is not asked for again."""
    note = line.read(f"{LEDGER}/log/{CHECKPOINT}", max_bytes=MAX_NOTE_BYTES)
    fresh = ReleaseFolder(release.root.with_name(f".{release.root.name}.log"))
    with storage_errors(fresh.root):
        shutil.rmtree(fresh.root, ignore_errors=True)
        fresh.log.mkdir(parents=True)
    try:
        size = Note.parse(note).checkpoint.size
        if size > MAX_ENTRIES:
            raise VerificationFailed(f"a log of {size:,} entries", where=CHECKPOINT)
        for tile in tiles_of(size):
            _small(line, f"log/{tile.name}", release, fresh, max_bytes=MAX_BUNDLE_BYTES)
        write_atomic(fresh.log / CHECKPOINT, note)
        store = _FetchingStore(line, release, fresh)
        archive = Archive(fresh.log, ObjectLibrary(store))
        for digest in documents(archive):
            store.get(digest)
        published = manifest.version in archive.state.releases
    except (FetchFailed, VerificationFailed):
        raise
    except ConcordError as error:
        raise VerificationFailed(
            error.message, where=error.where or LEDGER, remedy="fetch it from another copy"
        ) from error
    for name in proofs_of(manifest, published=published):
        _small(line, f"proofs/{name}", release, fresh, max_bytes=MAX_DOCUMENT_BYTES, kept=False)
    with storage_errors(release.root):
        shutil.rmtree(release.ledger, ignore_errors=True)
        fresh.ledger.rename(release.ledger)
        shutil.rmtree(fresh.root)


def _small(
    line: Line,
    path: str,
    release: ReleaseFolder,
    fresh: ReleaseFolder,
    *,
    max_bytes: int,
    kept: bool = True,
) -> None:
    held, target = release.ledger / path, fresh.ledger / path
    if kept and held.is_file():
        data = held.read_bytes()
    else:
        data = line.read(f"{LEDGER}/{path}", max_bytes=max_bytes)
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, data)


class _FetchingStore(ObjectStore):
    """Documents of the log, fetched when they are first looked up."""

    def __init__(self, line: Line, release: ReleaseFolder, fresh: ReleaseFolder) -> None:
        super().__init__(fresh.objects)
        self._line, self._release, self._fresh = line, release, fresh

    def get(self, digest: Digest, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        path = self.path(digest)
        if not path.exists():
            below = path.relative_to(self._fresh.ledger).as_posix()
            _small(self._line, below, self._release, self._fresh, max_bytes=MAX_DOCUMENT_BYTES)
        return super().get(digest, max_bytes=max_bytes)

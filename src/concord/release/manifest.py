"""The manifest: what is released, and every file of it. The log names its digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from concord.base.canonical import canonical_json, parse_canonical
from concord.base.digest import Digest
from concord.base.errors import ConcordError, VerificationFailed
from concord.charter.document import Document, Identifier, describe
from concord.ledger.statements.fields import Count, DigestText, Line, UnixTime
from concord.release.folder import MANIFEST, MAX_FILES, check_paths

MAX_MANIFEST_BYTES = 4 << 20
Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileEntry(Document):
    """One file."""

    bytes: Count
    sha256: Hex


class Manifest(Document):
    """What is released."""

    format: Literal["concord-release/1"] = "concord-release/1"
    federation: DigestText
    name: Identifier
    """Of the federation."""
    version: Line
    run: DigestText
    run_name: Identifier
    rounds: Count
    model: DigestText
    """The base in the log that it is made of."""
    weights: DigestText
    """Canonical tensor file of the weights alone; the base itself where it holds nothing else."""
    charter: DigestText
    """In force when it was built."""
    licence: Line
    decision: DigestText | None
    """The members' decision to publish it; None in a candidate that they have not decided about."""
    built: UnixTime
    release_key: Annotated[str, Field(max_length=1000)] | None = None
    """Public key (PEM) that signs `model.sig`."""
    files: Annotated[dict[str, FileEntry], Field(max_length=MAX_FILES)]

    @property
    def data(self) -> bytes:
        """The bytes that are digested."""
        return canonical_json(self.model_dump(mode="json"))

    def sums(self) -> bytes:
        """What `sha256sum -c` reads."""
        found = {path: entry.sha256 for path, entry in self.files.items()}
        found[MANIFEST] = hashlib.sha256(self.data).hexdigest()
        return "".join(f"{digest}  {path}\n" for path, digest in sorted(found.items())).encode()


def read_manifest(path: Path) -> Manifest:
    """Read a manifest, and check the paths in it.

    Raises:
        VerificationFailed: it is missing, malformed, or lists a path that no release may have.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_MANIFEST_BYTES + 1)
        found = Manifest.model_validate(
            parse_canonical(data, where=MANIFEST, max_bytes=MAX_MANIFEST_BYTES)
        )
    except OSError as error:
        raise VerificationFailed(
            "cannot be read", where=path, remedy="name the folder of a release"
        ) from error
    except ValidationError as error:
        raise VerificationFailed(describe(error), where=MANIFEST) from error
    except ConcordError as error:
        raise VerificationFailed(error.message, where=MANIFEST) from error
    check_paths(found.files)
    return found


def hash_files(
    root: Path, paths: Iterable[str], told: Callable[[int], object] = lambda _: None
) -> Mapping[str, Digest]:
    """SHA-256 of files, as many at once as there are cores; the largest first.

    Args:
        told: Is told of bytes that were hashed, from several threads.

    Raises:
        OSError: one cannot be read.
    """
    sizes = {path: (root / path).stat().st_size for path in paths}
    order = sorted(sizes, key=lambda path: -sizes[path])

    def one(path: str) -> Digest:
        with (root / path).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256")
        told(sizes[path])
        return "sha256:" + found.hexdigest()

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return dict(zip(order, pool.map(one, order), strict=True))

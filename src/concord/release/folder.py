"""Where things lie in a release: a Hugging Face model folder with its evidence beside it.

    README.md config.json generation_config.json model.safetensors tokenizer*.json   what users load
    gguf/                     the same weights for llama.cpp
    LICENSE USE.md mof.yml bom.cdx.json croissant/*.json papers/*   rendered from log and records
    gates/<gate>/<runner>.dsse.json                                 evidence, signed by its runner
    manifest.json             what is released, and every file above with size and digest
    SHA256SUMS                the same for `sha256sum -c`
    model.sig                 OMS signature of the release key over all of the above
    ledger/log ledger/objects the whole log, and the documents that one needs to follow it
    ledger/proofs/*.json      proofs for whoever does not want to read the log

The log names the digest of the manifest, so the ledger cannot be in the manifest: it proves itself,
and may be replaced by a newer copy, in which a withdrawal may stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from concord.base.errors import DocumentError, VerificationFailed

MANIFEST, SUMS, SIGNATURE, LEDGER = "manifest.json", "SHA256SUMS", "model.sig", "ledger"
APART = (MANIFEST, SUMS, SIGNATURE, LEDGER)
"""What the manifest cannot list."""
GATES = "gates"
MAX_FILES = 10_000
MAX_PATH = 200
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,63}")


@dataclass(frozen=True)
class ReleaseFolder:
    """A release on disk."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / MANIFEST

    @property
    def sums(self) -> Path:
        return self.root / SUMS

    @property
    def signature(self) -> Path:
        return self.root / SIGNATURE

    @property
    def ledger(self) -> Path:
        return self.root / LEDGER

    @property
    def log(self) -> Path:
        return self.ledger / "log"

    @property
    def objects(self) -> Path:
        return self.ledger / "objects"

    @property
    def proofs(self) -> Path:
        return self.ledger / "proofs"

    @property
    def card(self) -> Path:
        return self.root / "README.md"

    @property
    def gguf(self) -> Path:
        return self.root / "gguf"

    @property
    def papers(self) -> Path:
        return self.root / "papers"

    @property
    def gates(self) -> Path:
        return self.root / GATES

    def evidence(self, gate: str, runner: str) -> Path:
        """Where the evidence of a gate by a runner lies."""
        return self.gates / gate / f"{runner}.dsse.json"

    def weights(self) -> list[Path]:
        """The files of weights: one, or several that follow each other."""
        return sorted(self.root.glob("model*.safetensors"))


def release_place(federation: Path, version: str) -> ReleaseFolder:
    """Where a federation keeps a version.

    Raises:
        DocumentError: the version is no name for a folder.
    """
    if not _VERSION.fullmatch(version) or ".." in version:
        raise DocumentError(
            f"{version[:80]!r} is no name of a version",
            where="--version",
            remedy="use letters, digits, '.', '+' and '-', such as 1.0",
        )
    return ReleaseFolder(federation / "releases" / version)


def check_path(path: str) -> str:
    """Return the path of a file in a release, if it is plain on every system.

    Raises:
        VerificationFailed: it is absolute, leads out, or is spelt so that systems may differ on it.
    """
    parts = path.split("/")
    plain = all(_SEGMENT.fullmatch(part) and not part.endswith(".") for part in parts)
    if not plain or len(path) > MAX_PATH or parts[0] in APART:
        raise VerificationFailed(
            f"{path[:120]!r} is no path that a file of a release may have", where=MANIFEST
        )
    return path


def check_paths(paths: Iterable[str]) -> None:
    """Refuse paths that are odd, or the same where case does not count.

    Raises:
        VerificationFailed: names the first.
    """
    seen: dict[str, str] = {}
    for path in paths:
        check_path(path)
        other = seen.setdefault(path.casefold(), path)
        if other != path:
            raise VerificationFailed(
                f"{path!r} and {other!r} are one file where case does not count", where=MANIFEST
            )
    folders = {folder for path in seen for folder in _above(path)}
    if clash := sorted(folders & seen.keys()):
        raise VerificationFailed(f"{clash[0]!r} is both a file and a folder", where=MANIFEST)


def _above(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts)))

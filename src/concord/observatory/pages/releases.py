"""Folders of releases beside the log, as data: the files that a signed manifest names.

The log names the digest of a release's manifest, and the manifest names every file. A manifest that
is not the one in the log is not shown. Files themselves are for `concord release verify`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from concord.base.canonical import parse_json
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import ConcordError, DocumentError
from concord.observatory.pages.book import ReleaseBook

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 4 << 20
WEIGHTS = frozenset({".safetensors", ".gguf"})
SETTINGS = frozenset(
    {
        *("config.json", "generation_config.json", "model.safetensors.index.json"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
    }
)
"""What `transformers` reads beside the weights."""


@dataclass(frozen=True)
class Paper:
    """One file of a release."""

    name: str
    bytes: int
    digest: Digest

    @property
    def is_paper(self) -> bool:
        """Whether people read it: no part of the model, and no evidence of a gate."""
        part_of_model = Path(self.name).suffix in WEIGHTS or self.name in SETTINGS
        return not part_of_model and not self.name.startswith("gates/")


@dataclass(frozen=True)
class Papers:
    """What the manifest of one version names."""

    version: str
    manifest: Digest
    found: tuple[Paper, ...]
    fault: str = ""
    """Why nothing is shown of it, in words."""
    data: str = ""
    """The manifest, as it was signed."""


def papers(root: Path, releases: Iterable[ReleaseBook]) -> tuple[Papers, ...]:
    """The papers of each version, in the order of the log."""
    return tuple(_papers(root, one.version, one.manifest) for one in releases)


def _papers(root: Path, version: str, manifest: Digest) -> Papers:
    path = root / "releases" / version / MANIFEST
    if "/" in version or version.startswith(".") or not path.is_file():
        return Papers(version, manifest, (), "the folder of this version is not here")
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_MANIFEST_BYTES + 1)
        found = _files(parse_json(data, where=MANIFEST, max_bytes=MAX_MANIFEST_BYTES))
    except (ConcordError, OSError):
        return Papers(version, manifest, (), "its manifest cannot be read")
    if digest_bytes(data) != manifest:
        return Papers(version, manifest, (), "its manifest is not the one that was signed")
    return Papers(version, manifest, found, data=data.decode())


def _files(value: Any) -> tuple[Paper, ...]:
    try:
        return tuple(
            Paper(name, int(one["bytes"]), f"sha256:{one['sha256']}")
            for name, one in sorted(value["files"].items())
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DocumentError("names no files of a release", where=MANIFEST) from error

"""A federation on disk: the run documents, and one private folder per member.

atlas/
  runs/<name>.toml
  members/<id>/member.toml      where this member's text is; read by its own process only
  members/<id>/policy.cedar     what this member's data may be used for; read by it only, never sent
  members/<id>/private/         keys, cleaned text, shards, optimiser state; mode 0700
  overseers/<id>/private/       keys of the oversight body, when they lie on this machine
  charter/                      the charter that is worked on; the one in force is among the objects
  log/                          every signed statement; see `ledger.log`
  objects/, runs/<name>/        see `records`
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from concord.base.errors import DocumentError
from concord.base.files import private_folder, storage_errors, write_atomic
from concord.base.objects import ObjectStore
from concord.charter.document import Document, describe
from concord.charter.run import RunDocument, load_run
from concord.charter.template import default_policy
from concord.crypto.keys import PublicKey
from concord.ledger.keyring import MEMBER_KEYS, KeyRing
from concord.ledger.names import log_origin
from concord.ledger.witness import WitnessStore

REVOKED = "revoked"
"""File beside a dataset's record at its member, once the member revoked it."""


class MemberFile(Document):
    """What a member decides for itself. Relative paths start at the member's folder."""

    name: str = ""
    text: Annotated[tuple[str, ...], Field(min_length=1)]
    """Files or folders of .txt, .jsonl, .parquet, plain, .gz or .zst."""
    heldout: tuple[str, ...] = ()
    """Text that is only measured on; without it a share of `text` is held out."""
    text_key: str = "text"
    residency: str | None = None
    """Where this machine stands; without it, in the jurisdiction that the log gives the member."""
    facts: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: Annotated[int, Field(ge=1, le=1024)] = 1
    """How many GPUs, or processes on the CPU, share this member's network and batches (FSDP2)."""


class MemberFolder:
    """One member's own folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.id = root.name

    @property
    def file(self) -> Path:
        """Where the member says what it decides for itself."""
        return self.root / "member.toml"

    @property
    def policy(self) -> Path:
        """What the member's data may be used for."""
        return self.root / "policy.cedar"

    @property
    def private(self) -> Path:
        return self.root / "private"

    @property
    def keys(self) -> KeyRing:
        """The member's own keys."""
        return KeyRing(self.private)

    @property
    def witness(self) -> Path:
        """What the member's witness has signed last; it must not be lost."""
        return self.private / "ledger" / "witness.json"

    def open_private(self, *parts: str) -> Path:
        """A private folder, made if needed."""
        folder = private_folder(self.private)
        for part in parts:
            folder = private_folder(folder / part)
        return folder

    def load(self) -> MemberFile:
        """Read `member.toml`.

        Raises:
            DocumentError: it is missing, not TOML, or says something impossible.
        """
        path = self.file
        try:
            return MemberFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise DocumentError(
                f"cannot be read: {error.strerror}", where=path, remedy="`concord init` writes one"
            ) from error
        except ValidationError as error:
            raise DocumentError(describe(error), where=path, remedy="correct the field") from error
        except ValueError as error:
            raise DocumentError(
                f"is not TOML: {error}", where=path, remedy="correct that place"
            ) from error

    def settle(self, federation: str) -> dict[str, PublicKey]:
        """Make the member's keys, policy and witness where they are not there yet.

        Args:
            federation: The federation's name.

        Returns:
            The public keys, by purpose.
        """
        self.open_private("ledger")
        self.write_default_policy()
        public = self.keys.create(*MEMBER_KEYS)
        if not self.witness.exists():
            WitnessStore.create(self.witness, log_origin(federation))
        return public

    def write_default_policy(self) -> None:
        """Write the policy that a new member begins with, unless it has one."""
        if not self.policy.exists():
            private_folder(self.root)
            write_atomic(self.policy, default_policy().encode(), mode=0o600)

    def paths(self, texts: tuple[str, ...]) -> list[Path]:
        """Paths of `member.toml`, taken from the member's folder."""
        return [(self.root / text).resolve() for text in texts]

    def write(
        self,
        *,
        name: str,
        text: tuple[str, ...],
        heldout: tuple[str, ...] = (),
        facts: str | None = None,
    ) -> None:
        """Write a `member.toml` that names where the text is."""
        self.save(MemberFile(name=name, text=text, heldout=heldout, facts=facts))

    def save(self, file: MemberFile) -> None:
        """Write a `member.toml`; what is left to Concord is not named in it."""
        private_folder(self.root)
        said = {"name": file.name, "text": file.text, **file.model_dump(exclude_defaults=True)}
        lines = [
            "# Read by this member's own process only; the text it names never leaves it.",
            *(f"{field} = {_toml(value)}" for field, value in said.items()),
        ]
        write_atomic(self.file, ("\n".join(lines) + "\n").encode())


def _toml(value: str | int | Sequence[str]) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return toml_string(value)
    return f"[{', '.join(toml_string(text) for text in value)}]"


def toml_string(text: str) -> str:
    """A basic string of TOML: JSON's, but for one character that TOML escapes too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


class FederationFolder:
    """The folder made by `concord init`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def objects(self) -> ObjectStore:
        return ObjectStore(self.root / "objects")

    @property
    def log(self) -> Path:
        """Folder of the log."""
        return self.root / "log"

    @property
    def charter(self) -> Path:
        """Folder of the charter that is worked on."""
        return self.root / "charter"

    def member(self, member: str) -> MemberFolder:
        return MemberFolder(self.root / "members" / member)

    def overseer_keys(self, overseer: str) -> KeyRing:
        """Keys of one of the oversight body, when they lie on this machine."""
        return KeyRing(self.root / "overseers" / overseer / "private")

    def run_path(self, name: str) -> Path:
        return self.root / "runs" / f"{name}.toml"

    def run_names(self) -> list[str]:
        return sorted(path.stem for path in (self.root / "runs").glob("*.toml"))

    def load_run(self, name: str | None) -> RunDocument:
        """Read a run document; without a name, the only one there is.

        Raises:
            DocumentError: there is none, more than one, or it is faulty.
        """
        names = self.run_names()
        if not names:
            raise DocumentError(
                "is not a federation: it holds no runs/<name>.toml",
                where=self.root,
                remedy="make one with `concord init`",
            )
        if name is None and len(names) > 1:
            raise DocumentError(
                f"holds several runs: {', '.join(names)}", where=self.root, remedy="name one: --run"
            )
        run = load_run(self.run_path(name or names[0]))
        if run.name != (name or names[0]):
            raise DocumentError(
                f"says name = {run.name!r}; the file's name and the run's must be the same",
                where=self.run_path(name or names[0]),
            )
        return run

    def write_run(self, text: str, name: str) -> Path:
        """Write a run document."""
        path = self.run_path(name)
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
        return path

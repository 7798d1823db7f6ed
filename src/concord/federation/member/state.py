"""What a member keeps between rounds and across restarts, in its private folder.

    private/state/<run>/status.json           which files below are in force
    private/state/<run>/base.tensors          the base it holds
    private/state/<run>/local-<update>.tensors  its own part of the optimiser state, error feedback

A member's state is a function of the *committed* rounds that its updates went into, and of nothing
else: what it computed for a round that was then closed without it is thrown away. So a run that
was killed and resumed ends with the same weights as an undisturbed one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import Digest, digest_file
from concord.base.errors import CheckpointError, DocumentError
from concord.base.files import remove_torn, write_atomic
from concord.base.tensors import FloatArray, TensorFile, TensorSpec, write_tensors
from concord.charter.document import Document
from concord.federation.messages import Count, DigestText


class LocalState(Document):
    """One saved state: which update it belongs to, and the digest of its file."""

    update: DigestText
    tensors: DigestText
    round: Count = 0
    """Of the update, 0-based."""


class Status(Document):
    """What is in force."""

    run: DigestText
    base: DigestText | None = None
    base_round: Count = 0
    committed: LocalState | None = None
    pending: LocalState | None = None


class MemberState:
    """The saved state of one member in one run.

    Raises:
        CheckpointError: the status file is damaged, or a state that it names was altered.
    """

    def __init__(self, folder: Path, run: Digest) -> None:
        self._folder = folder
        self._path = folder / "status.json"
        remove_torn(folder)
        self.status = self._load(run)
        self._check_files()

    @property
    def base_path(self) -> Path:
        return self._folder / "base.tensors"

    def temporary_path(self, name: str) -> Path:
        """Where to prepare a file before it is adopted."""
        return self._folder / f"{name}.part"

    def adopt_base(self, prepared: Path, digest: Digest, round_: int) -> None:
        """Put a checked base in force."""
        prepared.replace(self.base_path)
        self._save(base=digest, base_round=round_)

    def save_pending(
        self, update: Digest, arrays: Mapping[str, FloatArray], round_: int = 0
    ) -> None:
        """Keep the state after local training until the round's fate is known."""
        specs = sorted(TensorSpec(name, array.shape) for name, array in arrays.items())
        path = self._local_path(update)
        tensors = write_tensors(path, specs, (arrays[spec.name] for spec in specs))
        self._save(pending=LocalState(update=update, tensors=tensors, round=round_))

    def settle(self, included: Digest | None, *, undecided: bool = False) -> None:
        """Take note which update of this member went into a base last.

        The pending state of that update comes into force; any other pending state is dropped.

        Args:
            undecided: The base is the one that the pending update started from: it may still be
                sent, and keeps its state.
        """
        pending = self.status.pending
        if pending is not None and pending.update == included:
            self._save(committed=pending, pending=None)
        elif pending is not None and not undecided:
            self._save(pending=None)
        committed = self.status.committed
        if committed is not None and committed.update != included:
            # The base has seen an update whose state is lost here, or a round was undone.
            self._save(committed=None)
        self._sweep()

    def load_local(self) -> TensorFile | None:
        """The state in force; None for a newcomer, which starts afresh.

        Raises:
            CheckpointError: its file is torn or altered.
        """
        committed = self.status.committed
        return None if committed is None else TensorFile(self._local_path(committed.update))

    @property
    def local_round(self) -> int:
        """The round (0-based) after whose steps the state in force was saved."""
        return 0 if self.status.committed is None else self.status.committed.round

    def _local_path(self, update: Digest) -> Path:
        return self._folder / f"local-{update.removeprefix('sha256:')[:32]}.tensors"

    def _sweep(self) -> None:
        states = [s for s in (self.status.committed, self.status.pending) if s is not None]
        kept = {self._local_path(state.update) for state in states}
        for path in self._folder.glob("local-*.tensors"):
            if path not in kept:
                path.unlink()

    def _check_files(self) -> None:
        """See that what the status names is unaltered; a base can be had again, a state not."""
        held = self.status.base
        if held is not None and not _intact(self.base_path, held):
            self._save(base=None, base_round=0)
        for state in (self.status.committed, self.status.pending):
            path = None if state is None else self._local_path(state.update)
            if state is not None and path is not None and not _intact(path, state.tensors):
                raise CheckpointError(
                    "is missing or was altered",
                    where=path,
                    remedy="restore it from a copy, or delete its folder: the member then goes on"
                    " with a fresh optimiser",
                )

    def _load(self, run: Digest) -> Status:
        if not self._path.exists():
            return Status(run=run)
        try:
            status = Status.model_validate(parse_json(self._path.read_bytes(), where=self._path))
        except (DocumentError, ValidationError) as error:
            raise CheckpointError(
                "is damaged", where=self._path, remedy="delete the folder; the member starts afresh"
            ) from error
        return status if status.run == run else Status(run=run)

    def _save(self, **changes: object) -> None:
        self.status = self.status.model_copy(update=changes)
        write_atomic(self._path, canonical_json(self.status.model_dump(mode="json")), mode=0o600)


def _intact(path: Path, digest: Digest) -> bool:
    return path.exists() and digest_file(path) == digest

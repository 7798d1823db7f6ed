"""What a build keeps so that it may be killed: weights in training and optimiser state, by step.

status.json            the plan, and the snapshot in force
step-000050.tensors    `weight/<name>` of what is trained, and the optimiser's own names
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import digest_file
from concord.base.errors import ConcordError
from concord.base.files import write_atomic
from concord.base.tensors import TensorFile, TensorSpec, write_tensors
from concord.charter.document import Document
from concord.ledger.statements.fields import Count, DigestText
from concord.model.tensors import copy_array, to_array
from concord.train.loop import LocalTrainer

WEIGHT = "weight/"


class Status(Document):
    """The snapshot in force."""

    plan: DigestText
    step: Count
    tokens: Count
    flops: Count
    tensors: DigestText


class Snapshots:
    """Snapshots of one build in a private folder; those of another plan are not taken."""

    def __init__(self, folder: Path, plan: str) -> None:
        self._folder = folder
        self._plan = plan

    def restore(self, trainer: LocalTrainer) -> Status | None:
        """Set a fresh trainer as it stood; None if there is nothing whole to go on from."""
        status = self._status()
        if status is None:
            return None
        tensors = TensorFile(self._path(status.step))
        for name, parameter in trainer.model.named_parameters():
            if parameter.requires_grad:
                copy_array(parameter, tensors[WEIGHT + name])
        names = [spec.name for spec in tensors.specs if not spec.name.startswith(WEIGHT)]
        trainer.optimizer.load_state({name: tensors[name] for name in names})
        return status

    def save(self, trainer: LocalTrainer, *, step: int, tokens: int, flops: int) -> None:
        """Keep the state after `step` steps in place of earlier ones."""
        arrays = trainer.optimizer.read_state()
        for name, parameter in trainer.model.named_parameters():
            if parameter.requires_grad:
                arrays[WEIGHT + name] = to_array(parameter)
        specs = sorted(TensorSpec(name, array.shape) for name, array in arrays.items())
        digest = write_tensors(self._path(step), specs, (arrays[spec.name] for spec in specs))
        status = Status(plan=self._plan, step=step, tokens=tokens, flops=flops, tensors=digest)
        write_atomic(self._folder / "status.json", canonical_json(status.model_dump(mode="json")))
        for path in self._folder.glob("step-*.tensors"):
            if path != self._path(step):
                path.unlink()

    def _status(self) -> Status | None:
        path = self._folder / "status.json"
        try:
            status = Status.model_validate(parse_json(path.read_bytes(), where=path))
            whole = digest_file(self._path(status.step)) == status.tensors
        except (OSError, ConcordError, ValidationError):
            return None
        return status if whole and status.plan == self._plan else None

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:08d}.tensors"

"""The complete state of a member's training on disk: weights, optimiser state, step.

    <folder>/checkpoint.json             format, step, digest of the tensors, the caller's note
    <folder>/<first digits>.safetensors  weights/<tensor> and the optimiser's state, canonical

The tensors are written first, then the document is replaced in one move, then older tensors are
removed: killed at any instant, the folder holds one whole checkpoint. Every byte is under a digest.
The folder is readable by its owner only, since optimiser state derives from the member's text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from concord.base.canonical import Json, canonical_json, parse_json
from concord.base.digest import Digest, digest_file, digest_json
from concord.base.errors import CheckpointError, DocumentError, ModelError
from concord.base.files import private_folder, storage_errors, write_atomic
from concord.base.tensors import FloatArray, TensorFile, TensorSpec, write_tensors
from concord.model.tensors import load_tensors, to_array
from concord.train.loop import LocalTrainer

FORMAT = 1
DOCUMENT = "checkpoint.json"
WEIGHTS = "weights/"
REMEDY = "delete the folder to begin again from the last committed round"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose digests were checked."""

    step: int
    """The global step to take next."""
    note: Json
    tensors: TensorFile


def save_checkpoint(folder: Path, trainer: LocalTrainer, *, step: int, note: Json = None) -> None:
    """Write the trainer's state; `step` is the global step to take next.

    Under FSDP every rank calls this and the leader writes.

    Raises:
        StorageError: the disk is full or the folder cannot be written; the earlier checkpoint,
            if there was one, is intact.
        DocumentError: the note is not JSON.
    """
    states = sorted(_states(trainer))
    arrays = (to_array(tensor) for _, tensor in states)
    if not trainer.ranks.is_leader:
        for _ in arrays:
            pass
        return
    specs = [TensorSpec(name, tuple(tensor.shape)) for name, tensor in states]
    canonical_json(note)
    private_folder(folder)
    temporary = folder / "new.safetensors"
    digest = write_tensors(temporary, specs, arrays)
    file = folder / _file_name(digest)
    with storage_errors(file):
        temporary.replace(file)
    document = {"format": FORMAT, "step": step, "tensors": digest, "note": note}
    document["check"] = digest_json(document)
    write_atomic(folder / DOCUMENT, canonical_json(document), mode=0o600)
    for other in folder.glob("*.safetensors"):
        if other != file:
            with suppress(OSError):
                other.unlink()


def read_checkpoint(folder: Path) -> Checkpoint:
    """Open a checkpoint and check every byte of it.

    Raises:
        CheckpointError: it is missing, torn or altered.
    """
    path = folder / DOCUMENT
    try:
        document = parse_json(path.read_bytes(), where=path)
        check = document.pop("check")
        if document["format"] != FORMAT or check != digest_json(document):
            raise CheckpointError("was altered", where=path, remedy=REMEDY)
        step, digest = int(document["step"]), str(document["tensors"])
    except (OSError, DocumentError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError("cannot be read", where=path, remedy=REMEDY) from error
    file = folder / _file_name(digest)
    if not file.is_file() or digest_file(file) != digest:
        raise CheckpointError("is missing or was altered", where=file, remedy=REMEDY)
    return Checkpoint(step=step, note=document["note"], tensors=TensorFile(file))


def load_checkpoint(folder: Path, trainer: LocalTrainer) -> Checkpoint:
    """Bring a trainer to the saved state, so that it goes on as if it had never stopped.

    Raises:
        CheckpointError: the checkpoint is missing, torn, altered, or of another network or
            optimiser.
    """
    checkpoint = read_checkpoint(folder)
    weights, state = _split(checkpoint.tensors)
    expected = {spec.name for spec in trainer.optimizer.state_specs()}
    try:
        if state.keys() != expected:
            raise ModelError("it holds the state of another optimiser")
        load_tensors(trainer.model, weights)
    except ModelError as error:
        raise CheckpointError(
            f"does not fit this run: {error.message}", where=folder, remedy=REMEDY
        ) from error
    trainer.optimizer.load_state(state)
    return checkpoint


def _states(trainer: LocalTrainer) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in trainer.model.named_parameters():
        yield WEIGHTS + name, parameter
    yield from trainer.optimizer.states()


def _split(tensors: TensorFile) -> tuple[Mapping[str, FloatArray], Mapping[str, FloatArray]]:
    weights, state = {}, {}
    for spec, array in tensors.items():
        if spec.name.startswith(WEIGHTS):
            weights[spec.name.removeprefix(WEIGHTS)] = array
        else:
            state[spec.name] = array
    return weights, state


def _file_name(digest: Digest) -> str:
    return f"{digest.partition(':')[2][:16]}.safetensors"

"""How much disk a run on one machine will fill: seen before training, not after days of it.

    each round left      every member's accepted update stays, so that the round can be verified
    at the coordinator   the first base, the last two, the one being made, and the outer state
    at each member       its base and the next one, its optimiser state before and after the round,
                         and its own weights with each state, if it goes on from them

An estimate from below: file headers, text and tokens are not counted. So a run that is refused
here could not have ended.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from concord.base.errors import StorageError
from concord.charter.run import RunDocument
from concord.charter.run_sections import RINGS, ModelSpec
from concord.update.codecs import CODECS

FP32_BYTES = 4
COORDINATOR_COPIES = 4
MEMBER_COPIES = 4
OWN_COPIES = 2
FIRST_SYMBOLS = 257
"""The end token and the bytes: what a learned vocabulary has before any merge."""


def check_disk(place: Path, run: RunDocument, *, parameters: int, rounds_left: int) -> None:
    """See that the rest of a run fits on the disk that holds its federation.

    Raises:
        StorageError: it does not.
    """
    needed = bytes_needed(run, parameters=parameters, rounds_left=rounds_left)
    free = shutil.disk_usage(place).free
    if needed > free:
        raise StorageError(
            f"{rounds_left:,} rounds need at least {needed / 1e9:,.1f} GB of disk,"
            f" {free / 1e9:,.1f} GB are free",
            where=place,
            remedy="free some space, move the federation to a larger disk, or plan fewer rounds",
        )


def bytes_needed(run: RunDocument, *, parameters: int, rounds_left: int) -> int:
    """Bytes that a run with so many rounds to go still writes and keeps."""
    if not rounds_left:
        return 0
    members = len(run.roster)
    ring_bits = RINGS.get(run.update.codec)
    update_bytes = (
        CODECS[run.update.codec].least_bytes(parameters)
        if ring_bits is None
        else parameters * ring_bits // 8
    )
    kept = rounds_left // run.rounds.fragments * members * update_bytes
    copies = COORDINATOR_COPIES + member_copies(run) * members
    return kept + copies * FP32_BYTES * parameters


def member_copies(run: RunDocument) -> int:
    """Files of the size of the model that a member has on its disk."""
    goes_on = run.rounds.fragments > 1 or run.rounds.overlap_steps > 0
    return MEMBER_COPIES + (OWN_COPIES if goes_on else 0)


def planned_parameters(run: RunDocument, federation: Path) -> int:
    """Weights of the network that a run will train, counted before it exists.

    As if the text gave all the merges that were asked for, and as if a model folder's weights were
    stored in full precision.
    """
    if run.model.continue_from is not None:
        folder = (federation / run.model.continue_from).resolve()
        return sum(path.stat().st_size for path in folder.glob("*.safetensors")) // FP32_BYTES
    return network_parameters(run.model, FIRST_SYMBOLS + run.tokenizer.merges)


def network_parameters(model: ModelSpec, vocabulary: int) -> int:
    """Weights of a Qwen3 network with tied embeddings."""
    queries, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    attention = model.hidden * (2 * queries + 2 * keys) + 2 * model.head_dim
    layer = attention + 3 * model.hidden * model.intermediate + 2 * model.hidden
    return vocabulary * model.hidden + model.layers * layer + model.hidden

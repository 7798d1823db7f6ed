"""What travels in a run: which tensors, in which codec, up and down.

A base file holds the weights and, under names with a prefix (`second_moment/…`), the inner state
that members share. Everything here follows from the base's names and shapes and from the run
document, so coordinator, members and verifiers agree without asking.
"""

from __future__ import annotations

from collections.abc import Sequence

from concord.base.errors import UpdateError
from concord.base.roles import weight_role
from concord.base.tensors import FloatArray, TensorFile, TensorSpec
from concord.charter.run import RunDocument
from concord.update.layout import COUNTS_NAME, SECOND_MOMENT, Entry, Layout, Role

STATE_SEPARATOR = "/"
COARSE = ("int4", "sparse", "sparse_down")


def is_state(name: str) -> bool:
    """True for shared inner state, False for a weight."""
    return STATE_SEPARATOR in name


def base_weights(base: TensorFile) -> dict[str, FloatArray]:
    """The weights of a base, shared state left out."""
    return {spec.name: array for spec, array in base.items() if not is_state(spec.name)}


def base_state(base: TensorFile) -> dict[str, FloatArray]:
    """The shared state of a base."""
    return {spec.name: array for spec, array in base.items() if is_state(spec.name)}


def weight_specs(base: Sequence[TensorSpec]) -> list[TensorSpec]:
    return [spec for spec in base if not is_state(spec.name)]


def parameter_count(base: Sequence[TensorSpec]) -> int:
    """Weights of a base, shared state left out."""
    return sum(spec.size for spec in weight_specs(base))


def syncs_state(run: RunDocument, round_: int) -> bool:
    """Whether inner state travels in this round (0-based)."""
    sync = run.inner.state
    return sync.mode != "local" and (round_ + 1) % sync.every_rounds == 0


def update_layout(run: RunDocument, base: Sequence[TensorSpec], round_: int) -> Layout:
    """Layout of a member's update in a round."""
    entries = _entries(run, base, run.update.codec, with_state=syncs_state(run, round_))
    if run.update.rows == "token_counts":
        rows = _vocabulary_rows(base)
        entries.append(Entry(TensorSpec(COUNTS_NAME, (rows,)), Role.COUNTS, "fp32"))
    return Layout(tuple(entries))


def step_layout(run: RunDocument, base: Sequence[TensorSpec], round_: int) -> Layout:
    """Layout of the encoded outer step that everybody applies."""
    codec = {"sparse": "sparse_down"}.get(run.update.down_codec, run.update.down_codec)
    entries = _entries(run, base, codec, with_state=syncs_state(run, round_))
    return Layout(tuple(entries))


def _entries(
    run: RunDocument, base: Sequence[TensorSpec], codec: str, *, with_state: bool
) -> list[Entry]:
    entries = []
    for spec in base:
        if not is_state(spec.name):
            role = Role(weight_role(spec.name, spec.shape))
            # A norm or bias is a few hundred numbers: coarse codes would save nothing.
            precise = role is Role.VECTOR and codec in COARSE
            entries.append(Entry(spec, role, "bf16" if precise else codec))
        elif with_state:
            entries.append(Entry(spec, Role.STATE, state_codec(run, spec)))
    return entries


def state_codec(run: RunDocument, spec: TensorSpec) -> str:
    """Second moments are never negative and span decades: their logarithm is what is quantised."""
    codec = run.inner.state.codec
    if spec.name.startswith(SECOND_MOMENT):
        return {"int8": "log8", "int4": "log4"}.get(codec, codec)
    return codec


def _vocabulary_rows(base: Sequence[TensorSpec]) -> int:
    embeddings = [spec for spec in base if weight_role(spec.name, spec.shape) == "embedding"]
    if not embeddings:
        raise UpdateError("the base has no embedding whose rows could be weighed")
    return max(spec.shape[0] for spec in embeddings)

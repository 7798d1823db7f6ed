"""What travels in a run: which tensors, in which codec, up and down.

A base file holds the weights and, under names with a prefix (`second_moment/…`), the inner state
that members share. Everything here follows from the base's names and shapes and from the run
document, so coordinator, members and verifiers agree without asking.

Where a run has fragments, each round has those tensors of one (`concord.update.fragments`): its
weights, and the shared state of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from concord.base.errors import UpdateError
from concord.base.roles import weight_role
from concord.base.tensors import FloatArray, TensorFile, TensorSpec
from concord.charter.run import RunDocument
from concord.update.fragments import fragments_of
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
    """Whether inner state travels in this round (0-based): every few turns of a fragment."""
    sync, turn = run.inner.state, round_ // run.rounds.fragments
    return sync.mode != "local" and (turn + 1) % sync.every_rounds == 0


def fragment_of(run: RunDocument, round_: int) -> int:
    """The fragment that a round (0-based) sends and moves."""
    return round_ % run.rounds.fragments


def full_rounds(run: RunDocument) -> range:
    """One round of each fragment in which all of it travels that ever does."""
    turn = run.rounds.fragments
    first = turn * (run.inner.state.every_rounds - 1)
    return range(first, first + turn)


def own_rounds(run: RunDocument, round_: int) -> range:
    """The rounds whose inner steps are in an update: since its fragment was sent last."""
    return range(max(0, round_ - run.rounds.fragments + 1), round_ + 1)


def update_layout(run: RunDocument, base: Sequence[TensorSpec], round_: int) -> Layout:
    """Layout of a member's update in a round.

    Of a sealed one it says which tensors there are; they travel as integers of one vector.
    """
    if run.mode == "sealed":
        return _layout(tuple(base), "fp32", "fp32" if syncs_state(run, round_) else None, False)
    state = run.inner.state.codec if syncs_state(run, round_) else None
    counts = run.update.rows == "token_counts"
    return _layout(tuple(base), run.update.codec, state, counts, *_part(run, round_))


def step_layout(run: RunDocument, base: Sequence[TensorSpec], round_: int) -> Layout:
    """Layout of the encoded outer step that everybody applies."""
    return _step_layout(run, base, round_, _part(run, round_))


def whole_step_layout(run: RunDocument, base: Sequence[TensorSpec], round_: int) -> Layout:
    """The same of all fragments: what the outer optimiser keeps is of all, in every round."""
    return _step_layout(run, base, round_, (0, 1))


def _step_layout(
    run: RunDocument, base: Sequence[TensorSpec], round_: int, part: tuple[int, int]
) -> Layout:
    codec = {"sparse": "sparse_down"}.get(run.update.down_codec, run.update.down_codec)
    state = run.inner.state.codec if syncs_state(run, round_) else None
    return _layout(tuple(base), codec, state, False, *part)


def _part(run: RunDocument, round_: int) -> tuple[int, int]:
    """The fragment of a round, and how many there are."""
    return fragment_of(run, round_), run.rounds.fragments


@lru_cache(maxsize=64)
def _layout(
    base: tuple[TensorSpec, ...],
    codec: str,
    state: str | None,
    counts: bool,
    fragment: int = 0,
    fragments: int = 1,
) -> Layout:
    """A layout; remembered, since every round of a run has one of a few."""
    entries = []
    for spec in base if fragments == 1 else _specs_of(base, fragment, fragments):
        if not is_state(spec.name):
            role = Role(weight_role(spec.name, spec.shape))
            # A norm or bias is a few hundred numbers: coarse codes would save nothing.
            precise = role is Role.VECTOR and codec in COARSE
            entries.append(Entry(spec, role, "bf16" if precise else codec))
        elif state is not None:
            entries.append(Entry(spec, Role.STATE, state_codec(state, spec)))
    if counts:
        entries.append(
            Entry(TensorSpec(COUNTS_NAME, (_vocabulary_rows(base),)), Role.COUNTS, "fp32")
        )
    return Layout(tuple(entries))


def _specs_of(base: Sequence[TensorSpec], fragment: int, fragments: int) -> list[TensorSpec]:
    """The weights of a fragment, and the shared state of these."""
    found = fragments_of(weight_specs(base), fragments)
    return [s for s in base if found.get(s.name.rpartition(STATE_SEPARATOR)[2]) == fragment]


def state_codec(codec: str, spec: TensorSpec) -> str:
    """Second moments are never negative and span decades: their logarithm is what is quantised."""
    if spec.name.startswith(SECOND_MOMENT):
        return {"int8": "log8", "int4": "log4"}.get(codec, codec)
    return codec


def _vocabulary_rows(base: Sequence[TensorSpec]) -> int:
    embeddings = [spec for spec in base if weight_role(spec.name, spec.shape) == "embedding"]
    if not embeddings:
        raise UpdateError("the base has no embedding whose rows could be weighed")
    return max(spec.shape[0] for spec in embeddings)

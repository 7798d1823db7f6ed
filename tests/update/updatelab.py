"""A small federation's updates, made from a seed."""

from fractions import Fraction

import numpy as np
from hypothesis import settings

from concord.base.digest import digest_bytes
from concord.base.tensors import TensorFile, TensorSpec, write_tensors
from concord.update.layout import COUNTS_NAME, Entry, Layout, Role
from concord.update.merge import Accepted
from concord.update.payload import UpdateFile, UpdateIdentity, encode_update
from concord.update.stack import measure

LAWS = settings(max_examples=40, deadline=None)
"""Deadlines measure the machine's load, not ours."""
RUN, BASE = digest_bytes(b"run"), digest_bytes(b"base")
EMBEDDING, MATRIX, SCALE = "embed_tokens.weight", "layer.0.weight", "norm.weight"
MOMENT = f"second_moment/{EMBEDDING}"
ROWS = 40


def layout(codec="int4", state="log8", *, counts=True, matrix=(96, 50)):
    entries = [
        Entry(TensorSpec(EMBEDDING, (ROWS, 24)), Role.EMBEDDING, codec),
        Entry(TensorSpec(MATRIX, matrix), Role.BODY, codec),
        Entry(TensorSpec(SCALE, (24,)), Role.VECTOR, "bf16"),
        Entry(TensorSpec(MOMENT, (ROWS, 24)), Role.STATE, state),
    ]
    if counts:
        entries.append(Entry(TensorSpec(COUNTS_NAME, (ROWS,)), Role.COUNTS, "fp32"))
    return Layout(tuple(entries))


def identity(member="ada", *, round_=3, run=RUN, base=BASE):
    return UpdateIdentity(run=run, round=round_, base=base, member=member)


def arrays(update_layout, seed, *, size=1e-3):
    rng = np.random.default_rng(seed)
    made = {}
    for entry in update_layout:
        if entry.role is Role.COUNTS:
            made[entry.name] = rng.integers(0, 9, entry.spec.shape).astype(np.float32)
        else:
            values = rng.normal(size=entry.spec.shape) * size
            made[entry.name] = values.astype(np.float32)
        if entry.is_never_negative:
            made[entry.name] = np.abs(made[entry.name])
    return made


def write_update(path, update_layout, tensors, member="ada", **changes):
    encode_update(path, update_layout, identity(member, **changes), tensors)
    return UpdateFile(path, update_layout)


def accept(folder, update_layout, tensors_of, weights=None):
    """Accepted updates of members, each given its arrays."""
    accepted = []
    for member, tensors in tensors_of.items():
        update = write_update(folder / f"{member}.update", update_layout, tensors, member)
        weight = weights[member] if weights else Fraction(1, len(tensors_of))
        accepted.append(Accepted(member, update, weight, measure(update)))
    return accepted


def base_file(path, update_layout, seed=99):
    specs = [entry.spec for entry in update_layout if entry.role is not Role.COUNTS]
    made = arrays(update_layout, seed, size=0.1)
    write_tensors(path, specs, (made[spec.name] for spec in sorted(specs)))
    return TensorFile(path)


def without_counts(update_layout):
    return Layout(tuple(e for e in update_layout if e.role is not Role.COUNTS))

"""What a hostile member may send in place of its update: for tests and benchmarks.

An attack is a function of what the member made itself, of what the others made (it may see all of
it, the worst case), and of a seed. It gives arrays, which are encoded as an honest member would,
or bytes.

Sources: ALIE, Baruch et al. 2019 (arXiv 1902.06156); IPM, Xie et al. 2019 (1903.03936); language
erasure: the negative of the victim's own update, at an ordinary norm.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from concord.base.digest import digest_bytes
from concord.base.errors import InternalError
from concord.base.tensors import FloatArray
from concord.federation.merging import RunState
from concord.federation.simulation import Adversary, Sent
from concord.testing.mutations import infinite
from concord.update.layout import Layout
from concord.update.payload import UpdateFile, encode_update

Arrays = Mapping[str, FloatArray]
Attack = Callable[[Arrays, Mapping[str, Arrays], np.random.Generator], Arrays]
ALIE_SIGMAS = 1.5


def scaled(factor: float) -> Attack:
    """The honest update, times a number."""
    return lambda own, _others, _draw: {n: a * np.float32(factor) for n, a in own.items()}


def zero(own: Arrays, _: Mapping[str, Arrays], __: np.random.Generator) -> Arrays:
    """No work at all."""
    return {name: np.zeros_like(array) for name, array in own.items()}


def noise(own: Arrays, _: Mapping[str, Arrays], draw: np.random.Generator) -> Arrays:
    """Random directions, each tensor as long as the honest one."""
    made = {}
    for name, array in own.items():
        random = draw.normal(size=array.shape)
        length = np.linalg.norm(random) or 1.0
        made[name] = (random * (np.linalg.norm(array) / length)).astype(np.float32)
    return made


def little_is_enough(_: Arrays, others: Mapping[str, Arrays], __: np.random.Generator) -> Arrays:
    """ALIE: the mean of the others, moved by a little more than their spread hides."""
    return {
        name: (stack.mean(0) - ALIE_SIGMAS * stack.std(0)).astype(np.float32)
        for name, stack in _stacks(others).items()
    }


def inner_product(_: Arrays, others: Mapping[str, Arrays], __: np.random.Generator) -> Arrays:
    """IPM: against the mean of the others, twice as long."""
    return {n: (-2 * stack.mean(0)).astype(np.float32) for n, stack in _stacks(others).items()}


def erasing(victim: str) -> Attack:
    """Unlearn what one member learned, as loudly as one honest update."""
    return lambda _own, others, _draw: {n: -a for n, a in others[victim].items()}


def copying(other: str) -> Attack:
    """What another member made, under the own name: no work done."""
    return lambda _own, others, _draw: others[other]


class Attacker:
    """One hostile member in a simulation.

    Args:
        member: Who it is.
        attack: What it sends in place of its update's weights.
        seed: Of its random numbers.
        state: Whether what it does to weights is done to shared inner state too (where it may be
            negative there, its magnitude is sent).
    """

    def __init__(self, member: str, attack: Attack, *, seed: int = 0, state: bool = False) -> None:
        self._member = member
        self._attack = attack
        self._draw = np.random.default_rng(seed)
        self._state = state

    def __call__(self, state: RunState, sent: Sequence[Sent]) -> Sequence[Sent]:
        """What is sent in this round."""
        layout = state.inputs().update_layout
        made = {one.member: decoded(one.path, layout) for one in sent}
        own = made.pop(self._member)
        found = dict(self._attack(own, made, self._draw))
        for entry in layout:
            if not entry.is_weight:
                found[entry.name] = np.abs(found[entry.name]) if self._state else own[entry.name]
        return [
            encoded_again(one, layout, found) if one.member == self._member else one for one in sent
        ]


def decoded(path: Path, layout: Layout) -> dict[str, FloatArray]:
    """All tensors of an update."""
    update = UpdateFile(path, layout)
    return {entry.name: update.decode(entry.name) for entry in layout}


def encoded_again(sent: Sent, layout: Layout, arrays: Arrays, **identity: Any) -> Sent:
    """The same update with other tensors, and with another identity where one is given."""
    before = UpdateFile(sent.path, layout).identity
    stream = io.BytesIO()
    encode_update(stream, layout, replace(before, **identity), arrays)
    return with_bytes(sent, stream.getvalue())


def with_bytes(sent: Sent, data: bytes) -> Sent:
    """The same update as other bytes, announced by their digest."""
    path = sent.path.with_name(f"{sent.path.name}.hostile")
    path.write_bytes(data)
    header = replace(sent.header, payload_digest=digest_bytes(data))
    return replace(sent, header=header, path=path)


# --- attacks on the form ------------------------------------------------------------------------


def on_bytes(member: str, change: Callable[[bytes], bytes]) -> Adversary:
    """A member that sends other bytes, announced by their right digest."""

    def adversary(_: RunState, sent: Sequence[Sent]) -> Sequence[Sent]:
        return [
            with_bytes(one, change(one.path.read_bytes())) if one.member == member else one
            for one in sent
        ]

    return adversary


def not_finite(member: str) -> Adversary:
    """A member that sends what is no number."""
    return on_bytes(member, infinite)


def twice(member: str) -> Adversary:
    """A member that sends its update two times."""
    return lambda _state, sent: [
        one for one in sent for _ in range(2 if one.member == member else 1)
    ]


def bytes_of(member: str, other: str) -> Adversary:
    """A member that sends another's bytes as its own."""

    def adversary(_: RunState, sent: Sequence[Sent]) -> Sequence[Sent]:
        copied = next(one for one in sent if one.member == other).path.read_bytes()
        return [with_bytes(one, copied) if one.member == member else one for one in sent]

    return adversary


class Stale:
    """A member that sends, from the second round on, what it made in the first.

    Args:
        member: Who it is.
        renamed: Whether it claims that the old update is of this round and base.
    """

    def __init__(self, member: str, *, renamed: bool) -> None:
        self._member, self._renamed = member, renamed
        self._old: bytes | None = None

    def __call__(self, state: RunState, sent: Sequence[Sent]) -> Sequence[Sent]:
        """What is sent in this round."""
        return [self._aged(state, one) if one.member == self._member else one for one in sent]

    def _aged(self, state: RunState, one: Sent) -> Sent:
        if self._old is None:
            self._old = one.path.read_bytes()
            return one
        aged = with_bytes(one, self._old)
        if not self._renamed:
            return aged
        layout = state.inputs().update_layout
        now = UpdateFile(one.path, layout).identity
        arrays = decoded(aged.path, layout)
        return encoded_again(aged, layout, arrays, round=now.round, base=now.base)


def _stacks(others: Mapping[str, Arrays]) -> dict[str, FloatArray]:
    if not others:
        raise InternalError("this attack needs others to look at")
    names = next(iter(others.values()))
    return {name: np.stack([made[name] for made in others.values()]) for name in names}

"""A cohort of honest members in one process, and instances that they go through.

Pairs have random keys here, since the sealing of pair secrets has tests of its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

import numpy as np

from concord.crypto.seal import (
    CHECK_ELEMENTS,
    Cohort,
    IndexSet,
    Instance,
    OwnSetup,
    Ring,
    Unmask,
    make_setup,
    mask,
    mask_keys,
    open_instance,
    receive_shares,
    unmask,
)


def digest(number: int) -> bytes:
    return bytes([number]) * 32


def cohort_of(size: int, min_survivors: int = 3) -> Cohort:
    return Cohort(tuple(f"member-{i:03}" for i in range(size)), min(min_survivors, size))


def instance_of(cohort: Cohort, **changed) -> Instance:
    plain = Instance(
        run=digest(1), round=7, fragment=2, attempt=0, roster=digest(2), model=digest(3),
        config=digest(4), cohort=cohort.digest,
    )  # fmt: skip
    return replace(plain, **changed)


def pairwise_keys(size: int) -> list[dict[int, bytes]]:
    """PRK of every pair, as each member holds them."""
    found: list[dict[int, bytes]] = [{} for _ in range(size)]
    for i in range(size):
        for j in range(i + 1, size):
            found[i][j] = found[j][i] = os.urandom(32)
    return found


def random_values(ring: Ring, count: int, rng: np.random.Generator) -> np.ndarray:
    """Values over the whole range that a member may send, with check elements."""
    values = rng.integers(-ring.largest, ring.largest + 1, count + CHECK_ELEMENTS)
    values[-CHECK_ELEMENTS:] = 0
    return values.astype(ring.signed)


@dataclass
class Party:
    """A cohort that has keys; `instances` of it are independent."""

    cohort: Cohort
    keys: list[dict[int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = self.keys or pairwise_keys(self.cohort.size)

    def set_up(self, instance: Instance, among=None) -> Session:
        members = range(self.cohort.size) if among is None else among
        own = {i: make_setup(instance, self.cohort, i, self.keys[i], os.urandom) for i in members}
        return Session(self, instance, own)


@dataclass
class Session:
    """One instance, set up by all or some of the members."""

    party: Party
    instance: Instance
    own: dict[int, OwnSetup]

    @property
    def setups(self):
        return {i: own.public for i, own in self.own.items()}

    def masked(self, i: int, values: np.ndarray, masked: IndexSet, ring: Ring) -> np.ndarray:
        """Masked vector of member i; `values` is left as it was."""
        keys = mask_keys(self.instance, self.party.cohort, self.own[i], self.party.keys[i], masked)
        return mask(values.copy(), ring, keys)

    def answer(self, i: int, masked: IndexSet, survivors: IndexSet) -> Unmask:
        held = receive_shares(self.own[i], self.party.keys[i], self.setups)
        return unmask(self.instance, i, held, masked, survivors)

    def answers(self, masked: IndexSet, survivors: IndexSet, among=None) -> list[Unmask]:
        who = survivors.indices if among is None else among
        return [self.answer(i, masked, survivors) for i in who]

    def open(self, masked: IndexSet, survivors: IndexSet, answers: list[Unmask]):
        return open_instance(
            self.instance, self.party.cohort, self.setups, masked, survivors, answers
        )


def plain_sum(values: dict[int, np.ndarray], survivors: IndexSet) -> np.ndarray:
    """What an open round would add up, in int64."""
    total = sum(values[i].astype(np.int64) for i in survivors.indices)
    return total[:-CHECK_ELEMENTS]

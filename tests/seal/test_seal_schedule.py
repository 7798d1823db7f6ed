"""Whatever a coordinator asks, in whatever order, with restarts between: a member's word holds."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from seallab import Party, cohort_of, digest, instance_of, random_values

from concord.base.errors import SealRefused
from concord.crypto.seal import IndexSet, Ring, make_setup, mask, mask_keys, receive_shares
from concord.federation.sealed.disk import PlainDisk
from concord.federation.sealed.store import Commitment, SealStore

ME, SIZE = 2, 5
COHORT = cohort_of(SIZE)
RING = Ring(16, SIZE)
PARTY = Party(COHORT)
INSTANCES = [
    instance_of(COHORT, round=round_, attempt=attempt, model=digest(model))
    for round_, attempt, model in ((1, 0, 3), (1, 0, 4), (1, 1, 3), (2, 0, 3))
]
SETS = [IndexSet(chosen) for chosen in ((0, 1, 2, 3, 4), (0, 1, 2, 3), (1, 2, 3, 4), (0, 1, 3, 4))]
OTHERS = {i: PARTY.set_up(one, among=[j for j in range(SIZE) if j != ME]) for i, one in
          enumerate(INSTANCES)}  # fmt: skip
VALUES = [random_values(RING, 8, np.random.default_rng(seed)) for seed in range(2)]
numbers = st.integers(0, len(INSTANCES) - 1)


class FastDisk(PlainDisk):
    """The disk without waiting for it: nothing is cut off here but processes that ended well."""

    def create(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as stream:
            stream.write(data)

    def replace(self, path: Path, *parts: bytes | memoryview) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(parts))


class AnyCoordinator(RuleBasedStateMachine):
    """Asks a member for any step of any instance; notes all that the member says."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.said: dict[tuple, dict[str, set[bytes]]] = defaultdict(lambda: defaultdict(set))
        self.kinds: dict[tuple, set[str]] = defaultdict(set)
        self.work: dict[bytes, set[tuple]] = defaultdict(set)
        self.order: list[tuple] = []

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def say(self, instance, what: str, data: bytes) -> None:
        self.said[instance.position][what].add(data)
        self.order.append(instance.position)

    def kept(self, number: int):
        """As after a restart: nothing is remembered but what lies on the disk."""
        return SealStore(self.folder, disk=FastDisk()).begin(INSTANCES[number], COHORT)

    def own(self, kept):
        keys = PARTY.keys[ME]
        return kept.setup(lambda: make_setup(kept.instance, COHORT, ME, keys, os.urandom))

    @rule(number=numbers)
    def go_through_a_round(self, number: int) -> None:
        """All steps as they should be: so that what follows finds something to undo."""
        self.ask_for_set_up(number)
        self.name_masking_set(number, SETS[0])
        self.ask_for_vector(number, SETS[0], number % 2, number)
        self.ask_for_answer(number, SETS[1])

    @rule(number=numbers)
    def ask_for_set_up(self, number: int) -> None:
        try:
            kept = self.kept(number)
            self.say(kept.instance, "set-up", self.own(kept).public.encode())
        except SealRefused:
            pass

    @rule(number=numbers, chosen=st.sampled_from(SETS))
    def name_masking_set(self, number: int, chosen: IndexSet) -> None:
        try:
            kept = self.kept(number)
            kept.masking_set(chosen)
            self.said[kept.instance.position]["W"].add(bytes(chosen.indices))
        except SealRefused:
            pass

    @rule(number=numbers, chosen=st.sampled_from(SETS), values=st.integers(0, 1),
          work=st.integers(0, 3))  # fmt: skip
    def ask_for_vector(self, number: int, chosen: IndexSet, values: int, work: int) -> None:
        try:
            kept = self.kept(number)
            if kept.committed() is None:
                keys = PARTY.keys[ME]
                masks = mask_keys(kept.instance, COHORT, self.own(kept), keys, chosen)
                kept.masking_set(chosen)
                root = kept.write_vector(mask(VALUES[values].copy(), RING, masks).tobytes())
                kept.commit(Commitment(root, digest(work), os.urandom(32), digest(0)))
                self.work[digest(work)].add(kept.instance.position)
            self.say(kept.instance, "vector", kept.vector_path.read_bytes())
        except SealRefused:
            pass

    @rule(number=numbers, chosen=st.sampled_from(SETS))
    def ask_for_answer(self, number: int, chosen: IndexSet) -> None:
        try:
            kept = self.kept(number)
            kept.survivor_set(chosen)
            setups = OTHERS[number].setups | {ME: self.own(kept).public}
            held = receive_shares(self.own(kept), PARTY.keys[ME], setups)
            answer = kept.unmask(held)
            self.say(kept.instance, "answer", answer.encode())
            for one in answer.revealed:
                self.kinds[kept.instance.position, one.dealer].add(one.kind)
        except SealRefused:
            pass

    @rule(number=numbers)
    def declare_void(self, number: int) -> None:
        with suppress(SealRefused):
            self.kept(number).void()

    @invariant()
    def one_of_each(self) -> None:
        """Invariant 9."""
        for spoken in self.said.values():
            assert all(len(messages) == 1 for messages in spoken.values())

    @invariant()
    def never_both_shares(self) -> None:
        """Invariant 10."""
        assert all(len(kinds) == 1 for kinds in self.kinds.values())

    @invariant()
    def one_instance_per_training_result(self) -> None:
        assert all(len(places) == 1 for places in self.work.values())

    @invariant()
    def no_way_back(self) -> None:
        assert self.order == sorted(self.order)


TestAnyCoordinator = AnyCoordinator.TestCase
TestAnyCoordinator.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

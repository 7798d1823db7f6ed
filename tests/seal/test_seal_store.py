"""What a member keeps: killed at any write, it never says two things in one instance."""

from __future__ import annotations

import os
import signal
import struct
from collections import defaultdict
from contextlib import suppress
from itertools import product

import numpy as np
import pytest
from seallab import Party, cohort_of, digest, instance_of, plain_sum, random_values

from concord.base.errors import SealRefused
from concord.crypto.seal import (
    Cohort,
    EpochKey,
    EpochPrivateKey,
    IndexSet,
    Ring,
    Setup,
    Unmask,
    beacon_commitment,
    chunk_root,
    decode_sealed,
    encode_sealed,
    make_setup,
    mask,
    mask_keys,
    open_instance,
    open_pair_secret,
    pair_key,
    receive_shares,
    seal_pair_secrets,
    unmask,
    value_commitment,
)
from concord.federation.sealed.disk import PlainDisk
from concord.federation.sealed.epochs import EpochStore
from concord.federation.sealed.store import Commitment, SealStore

ME = 1
SIZE = 5
COHORT = cohort_of(SIZE)
RING = Ring(16, SIZE)
ALL = IndexSet(tuple(range(SIZE)))
ONE_OUT, OTHER_OUT = IndexSet((0, 1, 2, 3)), IndexSet((0, 1, 2, 4))
INSTANCE = instance_of(COHORT)
WORK = digest(9)
MOMENTS = ("torn", "after")
RNG = np.random.default_rng(3)
VALUES = {i: random_values(RING, 20, RNG) for i in range(SIZE)}
OTHER_VALUES = random_values(RING, 20, RNG)


class DyingDisk(PlainDisk):
    """A disk whose process is killed before a change, within it, or after it."""

    def __init__(self, fatal: int, moment: str) -> None:
        self._left, self._moment = fatal, moment

    def create(self, path, data):
        self._change(path, lambda: super(DyingDisk, self).create(path, data))

    def replace(self, path, *parts):
        self._change(path, lambda: super(DyingDisk, self).replace(path, *parts))

    def remove(self, path):
        self._change(path, lambda: super(DyingDisk, self).remove(path))

    def _change(self, path, change) -> None:
        fatal, self._left = self._left == 0, self._left - 1
        if fatal and self._moment == "torn":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.0123abcd.part").write_bytes(b"half")
        if fatal and self._moment != "after":
            os.kill(os.getpid(), signal.SIGKILL)
        change()
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class Wire:
    """What left the member: kept in a file, since the member may be killed."""

    def __init__(self, path) -> None:
        self._path = path

    def send(self, kind: str, data: bytes) -> None:
        with self._path.open("ab", buffering=0) as stream:
            stream.write(struct.pack("<8sI", kind.encode(), len(data)) + data)

    def sent(self) -> dict[str, list[bytes]]:
        found = defaultdict(list)
        data = self._path.read_bytes() if self._path.exists() else b""
        while data:
            kind, length = struct.unpack("<8sI", data[:12])
            found[kind.rstrip(b"\0").decode()].append(data[12 : 12 + length])
            data = data[12 + length :]
        return found


def take_part(store, wire, session, *, masked=ALL, survivors=ONE_OUT, values=None, work=WORK):
    """All steps of one member, as told by its coordinator."""
    keys = session.party.keys[ME]
    values = VALUES[ME] if values is None else values
    kept = store.begin(session.instance, COHORT)
    own = kept.setup(lambda: make_setup(session.instance, COHORT, ME, keys, os.urandom))
    wire.send("setup", own.public.encode())
    setups = session.setups | {ME: own.public}
    shares = receive_shares(own, keys, setups)
    kept.masking_set(masked)
    commitment = kept.committed()
    if commitment is None:
        masks = mask_keys(session.instance, COHORT, own, keys, masked)
        root = kept.write_vector(mask(values.copy(), RING, masks).tobytes())
        salt = os.urandom(32)
        commitment = kept.commit(Commitment(root, work, salt, digest(8)))
    hidden = value_commitment(session.instance, ME, commitment.salt, commitment.value_root)
    wire.send("commit", commitment.file_root + hidden)
    wire.send("vector", kept.vector_path.read_bytes())
    kept.survivor_set(survivors)
    wire.send("unmask", kept.unmask(shares).encode())


def killed(run) -> bool:
    """Run something in a process of its own; True if it was killed."""
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def check_sent(wire: Wire) -> None:
    """Invariants 9 and 10, over everything that ever left the member."""
    sent = wire.sent()
    for kind, messages in sent.items():
        assert len(set(messages)) <= 1, f"two different messages of kind {kind}"
    kinds = defaultdict(set)
    for message in sent["unmask"]:
        for one in Unmask.decode(message).revealed:
            kinds[one.dealer].add(one.kind)
    assert all(len(found) == 1 for found in kinds.values())
    boxes = defaultdict(set)
    for message in sent["setup"]:
        setup = Setup.decode(message, SIZE)
        for holder, box in enumerate((*setup.encrypted, setup.blob)):
            boxes[holder, box[:12]].add(box)
    assert all(len(found) == 1 for found in boxes.values())


SESSION = Party(COHORT).set_up(INSTANCE)
"""The others' set-ups; member ME makes its own."""
CHANGES = 7
LATER = {
    "same": {},
    "another U": {"survivors": OTHER_OUT},
    "other values": {"values": OTHER_VALUES, "work": digest(7)},
    "another W and U": {"masked": OTHER_OUT, "survivors": OTHER_OUT, "values": OTHER_VALUES},
}


@pytest.mark.parametrize("later", LATER)
def test_killed_at_every_write_a_member_says_one_thing(tmp_path, later: str) -> None:
    for fatal, moment in product(range(CHANGES), MOMENTS):
        folder = tmp_path / f"{fatal}-{moment}"
        wire = Wire(tmp_path / f"{fatal}-{moment}.sent")

        def first(folder=folder, wire=wire, fatal=fatal, moment=moment) -> None:
            take_part(SealStore(folder, disk=DyingDisk(fatal, moment)), wire, SESSION)

        assert killed(first), f"only {fatal} changes"
        before = {kind: len(messages) for kind, messages in wire.sent().items()}
        store = SealStore(folder)
        try:
            take_part(store, wire, SESSION, **LATER[later])
        except SealRefused:
            assert later != "same", "a member that was killed could not go on"
        check_sent(wire)
        if later == "same":
            assert {"setup", "vector", "unmask"} <= wire.sent().keys()
            assert len(wire.sent()["setup"]) == before.get("setup", 0) + 1


def test_the_count_of_writes_is_right(tmp_path) -> None:
    """One more would not be reached: every write has been a place to be killed at."""
    store = SealStore(tmp_path / "s", disk=DyingDisk(CHANGES, "before"))
    assert not killed(lambda: take_part(store, Wire(tmp_path / "w"), SESSION))


def test_a_killed_members_round_ends_with_the_exact_sum(tmp_path) -> None:
    for fatal in range(CHANGES):
        folder, wire = tmp_path / str(fatal), Wire(tmp_path / f"{fatal}.sent")

        def first(folder=folder, wire=wire, fatal=fatal) -> None:
            take_part(SealStore(folder, disk=DyingDisk(fatal, "after")), wire, SESSION)

        assert killed(first)
        take_part(SealStore(folder), wire, SESSION)
        sent = wire.sent()
        setup = Setup.decode(sent["setup"][0], SIZE)
        session = Party(COHORT, SESSION.party.keys).set_up(INSTANCE)
        session.own = dict(SESSION.own)
        setups = SESSION.setups | {ME: setup}
        others = [i for i in ONE_OUT.indices if i != ME]
        vectors = {i: SESSION.masked(i, VALUES[i], ALL, RING) for i in others}
        vectors[ME] = np.frombuffer(sent["vector"][0], "<u2")
        answers = [Unmask.decode(sent["unmask"][0])]
        for i in others:
            shares = receive_shares(SESSION.own[i], SESSION.party.keys[i], setups)
            answers.append(unmask(INSTANCE, i, shares, ALL, ONE_OUT))
        opening = open_instance(INSTANCE, COHORT, setups, ALL, ONE_OUT, answers)
        assert (opening.sum(vectors, RING) == plain_sum(VALUES, ONE_OUT)).all()


def store_at(tmp_path) -> SealStore:
    return SealStore(tmp_path / "store")


def test_an_instance_is_never_entered_twice_under_other_facts(tmp_path) -> None:
    """A11: the roster changes in the middle of a round; A4: another model for one member."""
    store = store_at(tmp_path)
    store.begin(INSTANCE, COHORT)
    for changed in ({"roster": digest(77)}, {"model": digest(77)}, {"config": digest(77)}):
        with pytest.raises(SealRefused, match="other facts"):
            store.begin(instance_of(COHORT, **changed), COHORT)
    store.begin(INSTANCE, COHORT)


@pytest.mark.parametrize("earlier", [
    {"round": 6}, {"fragment": 1}, {"round": 6, "fragment": 9, "attempt": 1},
])  # fmt: skip
def test_there_is_no_way_back(tmp_path, earlier) -> None:
    store = store_at(tmp_path)
    kept = store.begin(INSTANCE, COHORT)
    with pytest.raises(SealRefused, match="does not come after"):
        store.begin(instance_of(COHORT, **earlier), COHORT)
    store.begin(instance_of(COHORT, attempt=1), COHORT)
    with pytest.raises(SealRefused):
        store.begin(INSTANCE, COHORT)
    with pytest.raises(SealRefused, match="later one"):
        kept.setup(lambda: make_setup(INSTANCE, COHORT, ME, SESSION.party.keys[ME], os.urandom))


def test_a_training_result_goes_into_one_instance_only(tmp_path) -> None:
    """A1 at the member: the round is voided and called again; the old update is not sent."""
    store, wire = store_at(tmp_path), Wire(tmp_path / "sent")
    take_part(store, wire, SESSION)
    store.begin(INSTANCE, COHORT).void()
    again = SESSION.party.set_up(instance_of(COHORT, attempt=1))
    with pytest.raises(SealRefused, match="train at least one fresh round"):
        take_part(store, wire, again)
    take_part(store, wire, again, work=digest(10), values=OTHER_VALUES)


def test_nothing_is_sent_for_a_void_instance(tmp_path) -> None:
    store, wire = store_at(tmp_path), Wire(tmp_path / "sent")
    kept = store.begin(INSTANCE, COHORT)
    kept.void()
    with pytest.raises(SealRefused, match="void"):
        take_part(store, wire, SESSION)
    assert not wire.sent()


def test_steps_out_of_order_are_refused(tmp_path) -> None:
    kept = store_at(tmp_path).begin(INSTANCE, COHORT)
    for step in (
        lambda: kept.masking_set(ALL),
        lambda: kept.write_vector(b"vector"),
        lambda: kept.commit(Commitment(digest(1), digest(2), digest(3), digest(4))),
        lambda: kept.survivor_set(ALL),
        lambda: kept.unmask({}),
    ):
        with pytest.raises(SealRefused, match="there is no"):
            step()
    kept.setup(lambda: SESSION.own[ME])
    kept.masking_set(ALL)
    with pytest.raises(SealRefused, match="there is no commit"):
        kept.survivor_set(ALL)  # I am called a survivor, and sent nothing
    with pytest.raises(SealRefused, match="I am not in it"):
        kept.survivor_set(IndexSet((0, 2, 3, 4)))


def test_a_vector_that_changed_on_disk_is_not_sent(tmp_path) -> None:
    store = store_at(tmp_path)
    take_part(store, Wire(tmp_path / "sent"), SESSION)
    kept = store.begin(INSTANCE, COHORT)
    with pytest.raises(SealRefused, match="was committed"):
        kept.write_vector(b"another")
    data = bytearray(kept.vector_path.read_bytes())
    data[5] ^= 1
    kept.vector_path.write_bytes(data)
    with pytest.raises(SealRefused, match="not the file that was committed"):
        kept.committed()


def test_a_damaged_position_stops_the_member(tmp_path) -> None:
    store = store_at(tmp_path)
    store.begin(INSTANCE, COHORT)
    for bad in (b"", b"{}", b"[]", b'{"attempt":0,"ctx":"zz","fragment":0,"round":0}'):
        (store.folder / "position").write_bytes(bad)
        with pytest.raises(SealRefused, match="damaged"):
            store.begin(instance_of(COHORT, round=8), COHORT)


def test_old_instances_lose_their_secrets(tmp_path) -> None:
    store = store_at(tmp_path)
    for round_ in range(10, 14):
        instance = instance_of(COHORT, round=round_)
        kept = store.begin(instance, COHORT)
        keys = SESSION.party.keys[ME]
        kept.setup(lambda i=instance, k=keys: make_setup(i, COHORT, ME, k, os.urandom))
    assert len(list(store.folder.glob("*/setup"))) == 2


def test_files_are_their_owners_alone(tmp_path) -> None:
    store = store_at(tmp_path)
    take_part(store, Wire(tmp_path / "sent"), SESSION)
    for path in store.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_of_two_processes_that_hear_different_things_one_is_refused(tmp_path) -> None:
    """A process that was left behind, and its successor: one masking set all the same."""
    folder, wire = tmp_path / "store", Wire(tmp_path / "sent")
    SealStore(folder).begin(INSTANCE, COHORT).setup(lambda: SESSION.own[ME])
    sets = [ALL, ONE_OUT, OTHER_OUT]

    def hear(chosen: IndexSet) -> None:
        for _ in range(20):
            with suppress(SealRefused):
                kept = SealStore(folder).begin(INSTANCE, COHORT)
                kept.masking_set(chosen)
                wire.send("set", bytes(chosen.indices))

    children = []
    for chosen in sets:
        if (child := os.fork()) == 0:
            try:
                hear(chosen)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert len(set(wire.sent()["set"])) == 1 and len(wire.sent()["set"]) == 20


def test_the_root_of_a_file_is_over_chunks(tmp_path) -> None:
    store = store_at(tmp_path)
    kept = store.begin(INSTANCE, COHORT)
    kept.setup(lambda: SESSION.own[ME])
    kept.masking_set(ALL)
    data = os.urandom((2 << 20) + 5)
    assert kept.write_vector(data[:7], data[7:]) == chunk_root(data)


RUN = digest(1)
EPOCH_COHORT = Cohort(("a", "b", "c"), 3)


def others_of_epoch():
    """Keys of members 0 and 2; member 1 is the one that is killed."""
    private = {i: EpochPrivateKey.generate() for i in (0, 2)}
    public = {
        i: EpochKey(key.public, beacon_commitment(EPOCH_COHORT.members[i], digest(i)))
        for i, key in private.items()
    }
    return private, public


def go_through_epoch(folder, wire, public, sealed_by, disk=None) -> dict[int, bytes]:
    store = EpochStore(folder, "0a" * 32, "b", disk=disk)
    wire.send("key", store.public().encode())
    keys = (public[0], store.public(), public[2])
    wire.send("beacon", store.beacon)
    wire.send("sealed", store.sealed(RUN, keys, 1))
    return store.complete(RUN, keys, 1, sealed_by(keys))


def test_killed_at_every_write_of_an_epoch_a_member_has_one_key(tmp_path) -> None:
    private, public = others_of_epoch()

    def sealed_by(keys):
        """The others' secrets are fixed, since a killed process cannot tell what it drew."""
        found = {}
        for i in (0, 2):
            _, sealed = seal_pair_secrets(RUN, keys, i, lambda count, i=i: bytes([i + 50]) * count)
            found[i] = encode_sealed(sealed, 3, i)
        return found

    for fatal, moment in product(range(8), MOMENTS):
        folder, wire = tmp_path / f"{fatal}-{moment}", Wire(tmp_path / f"{fatal}-{moment}.sent")

        def first(folder=folder, wire=wire, fatal=fatal, moment=moment) -> None:
            go_through_epoch(folder, wire, public, sealed_by, DyingDisk(fatal, moment))

        assert killed(first)
        found = go_through_epoch(folder, wire, public, sealed_by)
        assert all(len(set(messages)) == 1 for messages in wire.sent().values())
        assert go_through_epoch(folder, wire, public, sealed_by) == found
        assert not list(folder.rglob("private")) and not list(folder.rglob("secrets"))
        keys = (public[0], EpochKey.decode(wire.sent()["key"][0]), public[2])
        from_me = decode_sealed(wire.sent()["sealed"][0], 3, 1)
        for i in (0, 2):
            theirs = open_pair_secret(RUN, keys, private[i], me=i, of=1, data=from_me[i])
            assert pair_key(i, 1, digest(i + 50), theirs) == found[i]

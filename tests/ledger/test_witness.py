"""Witnesses sign one history each, whatever they are asked, and in whatever order."""

import json
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loglab import LOG_KEY, ORIGIN, entries, make_log, publish, signed

from concord.base.errors import (
    ForkDetected,
    KeyRefused,
    LogCorrupt,
    LogError,
    SignatureRefused,
    StorageError,
)
from concord.crypto.keys import PrivateKey
from concord.crypto.merkle import EMPTY_ROOT, consistency_path, leaf_hash, root_of_leaves
from concord.crypto.notes import Checkpoint, cosign
from concord.ledger.forks import compare_checkpoints
from concord.ledger.log import Log
from concord.ledger.reader import LogReader
from concord.ledger.witness import Witness, WitnessStore, require_quorum, witness_quorum

NAME, KEY = "witness.example/a", PrivateKey.from_seed(b"witness".ljust(32))
NOW_S = 1_795_000_000


@pytest.fixture
def log(tmp_path):
    with Log.create(tmp_path / "log", ORIGIN) as log:
        log.append(entries(0, 300))
        yield log


@pytest.fixture
def store(tmp_path):
    return WitnessStore.create(tmp_path / "witness", ORIGIN)


def ask(store, note, old_size, proof, *, log_key=LOG_KEY):
    return store.add_checkpoint(
        note,
        old_size=old_size,
        proof=proof,
        log_key=log_key.public,
        name=NAME,
        key=KEY,
        time_s=NOW_S,
    )


def note_of(log, size):
    return signed(size, log.root_at(size))


def test_a_log_that_grows_is_cosigned_and_remembered(log, store):
    for old, new in [(0, 5), (5, 5), (5, 256), (256, 300)]:
        note = note_of(log, new)
        line = ask(store, note, old, log.consistency(old, new))
        assert note.with_lines(line).cosignatures({NAME: KEY.public}) == {NAME: NOW_S}
        assert WitnessStore(store.path).read() == Witness(ORIGIN, new, log.root_at(new))


def test_what_a_killed_witness_had_not_written_whole_is_gone_when_it_signs_again(log, store):
    torn = store.path.with_name(f".{store.path.name}.0badc0de.part")
    torn.write_bytes(b"half")
    others = store.path.with_name(".another.0badc0de.part")
    others.write_bytes(b"half")
    ask(store, note_of(log, 10), 0, ())
    assert not torn.exists()
    assert others.exists()  # perhaps somebody writes it at this moment


def test_a_log_that_goes_back_is_not_signed(log, store):
    ask(store, note_of(log, 256), 0, [])
    before = store.path.read_bytes()
    for old, new in [(0, 100), (100, 100), (256, 100)]:
        with pytest.raises(LogError):
            ask(store, note_of(log, new), old, [])
    assert store.path.read_bytes() == before


def test_the_answer_to_another_size_says_which_was_signed(log, store):
    ask(store, note_of(log, 200), 0, [])
    with pytest.raises(LogError, match="signed last is 200, not 100") as refused:
        ask(store, note_of(log, 300), 100, log.consistency(100, 300))
    assert refused.value.remedy == "ask again with a proof from size 200"


def test_the_same_size_with_another_root_is_a_fork(log, store, tmp_path):
    ask(store, note_of(log, 300), 0, [])
    before = store.path.read_bytes()
    other = root_of_leaves(map(leaf_hash, entries(1, 301)))
    for old in (0, 300):
        with pytest.raises(ForkDetected, match="was signed with root"):
            ask(store, signed(300, other), old, [])
    assert store.path.read_bytes() == before


def test_a_proof_that_shows_nothing_is_refused(log, store):
    ask(store, note_of(log, 200), 0, [])
    proof = log.consistency(200, 300)
    other = signed(300, root_of_leaves(map(leaf_hash, entries(1, 301))))
    for note, wrong in [
        (note_of(log, 300), []),
        (note_of(log, 300), proof[:-1]),
        (note_of(log, 300), [*proof, bytes(32)]),
        (note_of(log, 300), [bytes(32)] * 64),
        (other, proof),
        (note_of(log, 200), [bytes(32)]),
    ]:
        with pytest.raises(LogCorrupt):
            ask(store, note, 200, wrong)
    assert store.read().size == 200


def test_what_the_log_has_not_signed_is_refused(log, store):
    with pytest.raises(SignatureRefused, match="has not signed"):
        ask(store, note_of(log, 5), 0, [], log_key=PrivateKey.generate())
    with pytest.raises(LogError, match="watches"):
        ask(store, signed(5, log.root_at(5), origin="log.example/other"), 0, [])
    assert store.read() == Witness(ORIGIN)


def test_a_witness_without_memory_stops(store):
    with pytest.raises(StorageError, match="File exists"):
        WitnessStore.create(store.path, ORIGIN)
    good = store.path.read_bytes()
    state = json.loads(good)
    for data in [
        b"",
        good[:-1],
        good + b"\n",
        json.dumps(state).encode(),
        good.replace(b'"0"', b'"1"'),
        good.replace(b'"0"', b'"-1"'),
        good.replace(b'"0"', b'"00"'),
        good.replace(b'"0"', b"null"),
        good.replace(b'"size"', b'"time"'),
        good.replace(state["root"][:2].encode(), b"zz"),
        bytes(1 << 20),
    ]:
        assert data != good
        store.path.write_bytes(data)
        with pytest.raises(LogCorrupt, match="lost its memory") as refused:
            store.read()
        assert "never start from zero" in str(refused.value)
    store.path.unlink()
    with pytest.raises(LogCorrupt, match="lost its memory"):
        store.read()


def test_of_two_racing_histories_one_is_signed(tmp_path):
    """Two sides ask at once, again and again: all that is signed is of one history."""
    for attempt in range(20):
        store = WitnessStore.create(tmp_path / f"witness{attempt}", ORIGIN)
        roots = {
            side: {n: root_of_leaves(map(leaf_hash, entries(side, side + n))) for n in (1, 2, 3)}
            for side in (0, 1)
        }

        def side_signs(side, store=store, roots=roots):
            signed_sizes = []
            for size, root in roots[side].items():
                try:
                    ask(store, signed(size, root), 0, [])
                    signed_sizes.append((side, size))
                except LogError:
                    continue
            return signed_sizes

        with ThreadPoolExecutor(2) as pool:
            done = [found for side in pool.map(side_signs, (0, 1)) for found in side]
        assert len(done) == 1
        (side, size) = done[0]
        assert store.read().root == roots[side][size]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 12), st.integers(0, 12)), max_size=30)
)
def test_whatever_is_asked_only_one_history_is_signed(requests):
    """Two histories that part after entry 3; every request with its best proof."""
    sides = {"a": entries(0, 12), "b": [*entries(0, 3), *entries(103, 112)]}

    def root(side, size):
        return root_of_leaves(map(leaf_hash, sides[side][:size]))

    def proof(side, old, new):
        def subtree(level, index):
            return root_of_leaves(
                map(leaf_hash, sides[side][index << level : (index + 1) << level])
            )

        return consistency_path(subtree, old, new)

    witness = Witness(ORIGIN)
    agreed = [witness]
    for side, old, new in requests:
        try:
            checkpoint = Checkpoint(ORIGIN, new, root(side, new))
            witness = witness.after(old, checkpoint, proof(side, min(old, new), new))
            agreed.append(witness)
        except LogError:
            continue
    assert [found.size for found in agreed] == sorted(found.size for found in agreed)
    assert any(all(found.root == root(side, found.size) for found in agreed) for side in "ab")


@pytest.mark.parametrize(
    ("count", "needed"), [(1, 1), (3, 3), (5, 4), (8, 6), (16, 11), (50, 34), (200, 134)]
)
def test_quorums_of_the_design(count, needed):
    assert witness_quorum(count) == needed


@given(st.integers(1, 300))
def test_two_quorums_share_more_witnesses_than_may_be_bad(count):
    quorum = witness_quorum(count)
    assert quorum <= count
    assert 2 * quorum - count > (count - 1) // 3
    assert witness_quorum(count, Fraction(1, 2)) == count // 2 + 1


def test_a_quorum_of_distinct_witnesses_is_needed(log):
    keys = {f"witness.example/{n}": PrivateKey.from_seed(bytes([n]) * 32) for n in range(1, 6)}
    public = {name: key.public for name, key in keys.items()}
    note = note_of(log, 300)
    lines = [cosign(note.checkpoint, name, key, NOW_S) for name, key in keys.items()]
    assert len(require_quorum(note.with_lines(*lines[:4]), public)) == 4
    for too_few in (lines[:3], [*lines[:3], lines[0]], []):
        with pytest.raises(SignatureRefused, match="of 5 witnesses, 4 are needed"):
            require_quorum(note.with_lines(*too_few), public)
    other = cosign(Checkpoint(ORIGIN, 299, log.root_at(299)), *list(keys.items())[3], NOW_S)
    with pytest.raises(SignatureRefused):
        require_quorum(note.with_lines(*lines[:3], other), public)
    with pytest.raises(KeyRefused):
        require_quorum(note.with_lines(*lines), public | {"twin": public["witness.example/1"]})
    with pytest.raises(SignatureRefused, match="1 are needed"):
        require_quorum(note, {})


def test_a_fork_shown_to_two_readers_is_detected(tmp_path):
    """One log key, two folders: common entries, then another one for each reader."""
    readers, notes = [], []
    for side, last in enumerate([b"yes", b"no"]):
        with Log.create(tmp_path / str(side), ORIGIN) as log:
            log.append(entries(0, 299))
            log.append([last, *entries(300, 310 + side)])
            notes.append(publish(log))
        readers.append(LogReader(tmp_path / str(side)))
    for reader in readers:
        reader.check()
        assert reader.note.log_signature_ok(ORIGIN, LOG_KEY.public)
    for reader in readers:
        compare_checkpoints(notes[0], notes[0], reader)
    with pytest.raises(ForkDetected, match="not of the history seen here"):
        compare_checkpoints(notes[0], notes[1], readers[1])
    with pytest.raises(ForkDetected, match="show them to the members"):
        compare_checkpoints(notes[1], notes[0], readers[1])
    twin = signed(310, readers[1].root_at(310))
    with pytest.raises(ForkDetected, match="two roots were signed for size 310"):
        compare_checkpoints(notes[0], twin, readers[0])
    with pytest.raises(LogError, match="only 310 entries are here, 311 are needed"):
        compare_checkpoints(notes[0], notes[1], readers[0])


def test_an_older_checkpoint_of_one_history_is_no_fork(tmp_path):
    note = make_log(tmp_path, 400)
    reader = LogReader(tmp_path)
    for size in (1, 255, 256, 399):
        compare_checkpoints(signed(size, reader.root_at(size)), note, reader)
    compare_checkpoints(signed(0, EMPTY_ROOT), note, reader)
    with pytest.raises(LogError, match="two logs"):
        compare_checkpoints(note, signed(400, reader.root, origin="log.example/b"), reader)

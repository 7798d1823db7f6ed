"""Files, checkpoints, objects and other readers: what is altered after the log was signed."""

import random
import shutil

import pytest
from forger import Forger
from verifylab import MEMBERS, eventful, verified

from concord.base.errors import LogError, VerificationFailed
from concord.crypto.notes import Checkpoint, Note, cosign, sign_checkpoint
from concord.ledger.log import read_checkpoint
from concord.ledger.names import witness_name
from concord.ledger.publish import publish
from concord.ledger.statements.votes import Ordinary
from concord.testing.history import BEGAN_S, History, key, write_log

NOWHERE = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    history, run = eventful(tmp_path_factory.mktemp("history"))
    history.publish()
    return history, run


@pytest.fixture
def copy(published, tmp_path):
    return shutil.copytree(published[0].root, tmp_path / "copy")


def flip(path, place=-1):
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def failure(folder, **wishes):
    with pytest.raises(VerificationFailed) as failed:
        verified(folder, **wishes)
    assert failed.value.remedy
    return failed.value


# --- the log's files ------------------------------------------------------------------------


def test_a_bit_flipped_in_an_entry_bundle_names_the_entry(copy):
    flip(copy / "log" / "tile" / "entries" / "000.p" / "108", 60_000)
    assert failure(copy).where.startswith("entry ")
    assert "is not the entry that the tree holds" in failure(copy).message


def test_a_bit_flipped_in_a_tile_names_the_tile(copy):
    flip(copy / "log" / "tile" / "0" / "000.p" / "108", 5)
    assert failure(copy).where == "tile/0/000.p/108"


def test_an_altered_root_is_named(copy):
    note = read_checkpoint(copy / "log")
    other = Checkpoint(note.checkpoint.origin, note.checkpoint.size, b"\x01" * 32)
    (copy / "log" / "checkpoint").write_bytes(Note(other, note.lines).encode())
    assert failure(copy).where == "checkpoint"
    assert "its root is not that of the 108 entries" in failure(copy).message


def test_a_missing_bundle_is_named(copy):
    (copy / "log" / "tile" / "entries" / "000.p" / "108").unlink()
    assert failure(copy).where == "tile/entries/000.p/108"


def test_a_checkpoint_that_is_none_is_named(copy):
    (copy / "log" / "checkpoint").write_text("hello\n")
    assert "is no checkpoint" in failure(copy).message


def test_a_folder_without_a_log_is_no_failed_verification(tmp_path):
    with pytest.raises(LogError, match="no log is published there"):
        verified(tmp_path)


# --- the checkpoint -------------------------------------------------------------------------


def with_lines(copy, lines):
    note = read_checkpoint(copy / "log")
    (copy / "log" / "checkpoint").write_bytes(Note(note.checkpoint, tuple(lines)).encode())
    return failure(copy)


def test_too_few_cosignatures_are_too_few(copy, published):
    lines = published[0].note(without=("fiji", "laos", "togo")).lines
    assert "2 members cosigned the checkpoint; 3 are needed" in with_lines(copy, lines).message


def test_a_cosignature_by_one_who_is_no_member_does_not_count(copy, published):
    note = published[0].note(without=("fiji", "laos", "togo"))
    stranger = cosign(note.checkpoint, "concord.test/witness/mallory", key("mallory"), 1)
    expelled = cosign(note.checkpoint, witness_name("test", "iran"), key("iran", "witness"), 1)
    found = with_lines(copy, (*note.lines, stranger, expelled))
    assert "2 members cosigned the checkpoint; 3 are needed" in found.message


def test_a_cosignature_under_a_members_name_by_another_key_does_not_count(copy, published):
    note = published[0].note(without=("fiji", "laos", "togo"))
    forged = cosign(note.checkpoint, witness_name("test", "fiji"), key("mallory"), 1)
    assert "2 members cosigned" in with_lines(copy, (*note.lines, forged)).message


def test_a_forged_cosignature_is_named(copy, published):
    note = published[0].note()
    other = Checkpoint(note.checkpoint.origin, note.checkpoint.size, b"\x01" * 32)
    forged = cosign(other, witness_name("test", "fiji"), key("fiji", "witness"), 1)
    found = with_lines(copy, (*note.lines, forged))
    assert found.message == "its cosignature does not match"
    assert found.where == "concord.test/witness/fiji"


def test_a_checkpoint_without_the_logs_signature_is_named(copy, published):
    found = with_lines(copy, published[0].note().lines[1:])
    assert "the log's coordinator did not sign this checkpoint" in found.message


def test_a_checkpoint_of_another_log_is_named(copy, published):
    note = published[0].note()
    other = Checkpoint("concord.other/log", note.checkpoint.size, note.checkpoint.root)
    line = sign_checkpoint(other, other.origin, key("chad", "log"))
    (copy / "log" / "checkpoint").write_bytes(Note(other, (line,)).encode())
    assert "is of log 'concord.other/log', not 'concord.test/log'" in failure(copy).message


def test_a_cosignature_from_the_future_is_named(copy, published):
    history = published[0]
    note = history.note(without=("fiji",))
    later = cosign(note.checkpoint, witness_name("test", "fiji"), key("fiji", "witness"), 2**40)
    found = with_lines(copy, (*note.lines, later))
    assert (found.where, found.message) == ("checkpoint: fiji", "bears a time in the future")


def test_a_statement_dated_ahead_of_those_who_witnessed_it_is_named(tmp_path):
    history = History(tmp_path)
    history.now += 100_000
    history.vote(Ordinary())
    later = history.note(without=MEMBERS)
    early = [
        cosign(later.checkpoint, witness_name("test", m), key(m, "witness"), BEGAN_S)
        for m in ("chad", "fiji", "peru")
    ]
    history.publish(later.with_lines(*early))
    assert "s after a quorum of witnesses had signed it" in failure(tmp_path).message


# --- objects --------------------------------------------------------------------------------


def objects_of(published):
    history, run = published
    seat = history.state.run(run.digest)
    bodies = [e.statement.body for e in history.entries if e.statement.kind == "round-record"]
    return {
        "first base": seat.first_base,
        "update of fiji": bodies[0].merged["fiji"].update,
        "record of the round": bodies[1].record,
        "record of the first base": next(
            e.statement.body.record for e in history.entries if e.statement.kind == "run-opening"
        ),
        "current base": seat.base,
        "outer step": bodies[2].step,
    }


@pytest.mark.parametrize(
    "what",
    [
        "first base",
        "update of fiji",
        "record of the round",
        "record of the first base",
        "current base",
        "outer step",
    ],
)
def test_a_bit_flipped_in_an_object_names_it(copy, published, what):
    digest = objects_of(published)[what]
    flip(copy / "objects" / "sha256" / digest[7:9] / digest[9:])
    found = failure(copy)
    assert f": {what} {digest}" in found.where
    assert "was altered: its bytes have another digest" in found.message


@pytest.mark.parametrize("what", ["first base", "update of fiji", "record of the round"])
def test_an_object_that_is_needed_and_missing_is_named(copy, published, what):
    digest = objects_of(published)[what]
    (copy / "objects" / "sha256" / digest[7:9] / digest[9:]).unlink()
    assert what in failure(copy).where
    assert "is missing from the objects" in failure(copy).message


def test_what_can_be_computed_again_need_not_be_there(copy, published):
    digest = objects_of(published)["outer step"]
    (copy / "objects" / "sha256" / digest[7:9] / digest[9:]).unlink()
    assert "others can be made again" in verified(copy).steps[3].found


def test_two_updates_exchanged_are_named(copy, published):
    bodies = [e.statement.body for e in published[0].entries if e.statement.kind == "round-record"]
    first, second = (bodies[0].merged[m].update for m in ("chad", "fiji"))
    paths = [copy / "objects" / "sha256" / d[7:9] / d[9:] for d in (first, second)]
    one, two = (path.read_bytes() for path in paths)
    paths[0].write_bytes(two)
    paths[1].write_bytes(one)
    assert "update of chad" in failure(copy).where


@pytest.mark.parametrize("which", ["run document", "charter"])
def test_a_bit_flipped_in_a_document_names_the_entry_that_needs_it(copy, published, which):
    _, run = published
    digest = run.digest
    if which == "charter":
        found = [
            p
            for p in (copy / "objects").rglob("*")
            if p.is_file() and b"owner_cap" in p.read_bytes()
        ]
        path = next(p for p in found if b'purpose = "' in p.read_bytes())
    else:
        path = copy / "objects" / "sha256" / digest[7:9] / digest[9:]
    flip(path, 40)
    found = failure(copy)
    assert found.where.startswith("entry ")
    assert f"the {which} cannot be read: object was altered" in found.message


# --- who is it, and what did others see -----------------------------------------------------


def test_another_federation_than_the_one_that_is_meant_is_named(copy, published):
    mine = published[0].state.federation
    assert verified(copy, federation=mine).state.federation == mine
    found = failure(copy, federation=NOWHERE)
    assert found.message == f"is the federation {mine}, not {NOWHERE}"


def test_a_federation_of_the_same_name_with_keys_of_its_own_is_not_taken_for_it(
    tmp_path, published
):
    impostor = History(tmp_path, ("chad", "fiji"))
    impostor.publish()
    mine = published[0].state.federation
    assert verified(tmp_path).state.name == "test"
    assert "is the federation" in failure(tmp_path, federation=mine).message
    known = {m: key(m, "witness", 5).public for m in ("chad", "fiji")}
    assert "witness key in the log is" in failure(tmp_path, witness_keys=known).message


def test_a_quorum_of_the_witnesses_that_one_knows_must_have_cosigned(copy, published):
    history = published[0]
    known = {m: key(m, "witness").public for m in ("chad", "fiji", "laos")}
    verified(copy, witness_keys=known)
    (copy / "log" / "checkpoint").write_bytes(history.note(without=("fiji", "laos")).encode())
    found = failure(copy, witness_keys=known)
    assert "1 of the 3 witnesses that you know cosigned; 2 are needed" in found.message


def earlier(history, size):
    """What a reader was shown when the log had `size` entries."""
    from concord.ledger.replica import Replica

    replica = Replica(history.replica.library)
    replica.extend(entry.data for entry in history.entries[:size])
    checkpoint = replica.checkpoint
    line = sign_checkpoint(checkpoint, checkpoint.origin, history.key("chad", "log"))
    return Note(checkpoint, (line,))


def test_an_earlier_checkpoint_of_the_same_history_passes(copy, published):
    found = verified(copy, checkpoints=(earlier(published[0], 50), earlier(published[0], 108)))
    assert found.steps[-1].found == "one history with the checkpoints of 50, 108 entries"


def test_a_fork_shown_to_two_readers_is_named(copy, published, tmp_path):
    forger = Forger(published[0], tmp_path / "fork")
    forger.restate(forger.find("round-record"), body={"closed_because": "grace is over"})
    line = sign_checkpoint(forger.checkpoint, forger.checkpoint.origin, forger.log_key)
    found = failure(copy, checkpoints=(Note(forger.checkpoint, (line,)),))
    assert "two roots were signed for size 108" in found.message


def test_a_fork_in_the_past_is_named(copy, published, tmp_path):
    forger = Forger(published[0], tmp_path / "fork")
    forger.restate(forger.find("round-record"), body={"closed_because": "grace is over"})
    del forger.entries[40:]
    line = sign_checkpoint(forger.checkpoint, forger.checkpoint.origin, forger.log_key)
    found = failure(copy, checkpoints=(Note(forger.checkpoint, (line,)),))
    assert "the checkpoint of size 40 is not of the history seen here" in found.message


def test_a_log_cut_back_is_known_by_an_earlier_checkpoint(published, tmp_path):
    history = published[0]
    shutil.copytree(history.root / "objects", tmp_path / "objects")
    note = earlier(history, 35)
    lines = [
        cosign(note.checkpoint, witness_name("test", m), key(m, "witness"), history.now)
        for m in ("chad", "fiji", "iran")
    ]
    entries = [entry.data for entry in history.entries[:35]]
    write_log(tmp_path / "log", entries, note.with_lines(*lines))
    verified(tmp_path)
    found = failure(tmp_path, checkpoints=(history.note(),))
    assert "only 35 entries are shown here: the log was cut back" in found.message


def test_a_checkpoint_that_the_log_did_not_sign_shows_nothing(copy, published):
    note = earlier(published[0], 50)
    line = sign_checkpoint(note.checkpoint, note.checkpoint.origin, key("mallory"))
    found = failure(copy, checkpoints=(Note(note.checkpoint, (line,)),))
    assert "is not signed by this log" in found.message


def test_one_run_alone_can_be_asked_for(copy):
    assert len(verified(copy, run="first").steps) == 6
    with pytest.raises(LogError, match="holds no run 'second'"):
        verified(copy, run="second")


def test_no_flipped_bit_in_any_file_is_accepted(tmp_path):
    """Of all files that are published; a witness's line that is garbled counts as not there."""
    history = History(tmp_path / "atlas")
    run = history.adopt(rounds={"count": 1}, update={"codec": "int8"})
    run.round_of(measured=True)
    history.publish()
    publish(verified(history.root), tmp_path / "public")
    files = sorted(p for p in (tmp_path / "public").rglob("*") if p.is_file())
    draw = random.Random(7)
    for _ in range(150):
        path = draw.choice(files)
        data = path.read_bytes()
        place, bit = draw.randrange(len(data)), draw.randrange(8)
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
        try:
            found = verified(tmp_path / "public", replay=False)
        except VerificationFailed:
            pass
        else:
            assert path.name == "checkpoint", f"bit {bit} of byte {place} of {path}"
            assert found.state.digest == history.state.digest
            assert len(found.cosigned) == 2
        path.write_bytes(data)

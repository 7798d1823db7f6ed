"""Checkpoints and cosignatures: a fixed vector, and every note that is not exactly one."""

import base64

import pytest
from test_merkle import ROOTS

from concord.base.errors import KeyRefused, SignatureRefused
from concord.crypto.keys import PrivateKey
from concord.crypto.merkle import EMPTY_ROOT
from concord.crypto.notes import Checkpoint, Note, cosign, sign_checkpoint

ORIGIN, WITNESS = "log.example/concord", "witness.example/a"
LOG_KEY, WITNESS_KEY = PrivateKey.from_seed(bytes(32)), PrivateKey.from_seed(b"\x01" * 32)
CHECKPOINT = Checkpoint(ORIGIN, 8, ROOTS[8])
LOG_LINE = (
    "— log.example/concord vDAa/Rs2LAnRgxOY174Hh6IB/nJZuF9dIsUtoblz6be1ffoD03DoVv/"
    "aAjQK0ajxp0WrXVh4+Yd5dfA2Y2ydNzb6iQY="
)
WITNESS_LINE = (
    "— witness.example/a PMCFSwAAAABqsTuAJ4ckAUf+wW5KC+cG9wF1lRhMuJ7U4WzJESKsSQ1jAlhrpoUg+"
    "rIbDYEvo1i3RojGjBF3aSZTaztnnhUfjTwFDQ=="
)
STRANGER_LINE = "— witness.example/b ctCs7gAAAABqsTuA" + "A" * 64
NOTE = Note(CHECKPOINT, (LOG_LINE, WITNESS_LINE))


def test_the_lines_are_those_of_the_vector():
    assert sign_checkpoint(CHECKPOINT, ORIGIN, LOG_KEY) == LOG_LINE
    assert cosign(CHECKPOINT, WITNESS, WITNESS_KEY, 1790000000) == WITNESS_LINE


def test_the_note_is_those_bytes_and_is_read_back():
    data = (
        "log.example/concord\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n"
        f"{LOG_LINE}\n{WITNESS_LINE}\n"
    ).encode()
    assert NOTE.encode() == data
    assert Note.parse(data) == NOTE
    assert NOTE.log_signature_ok(ORIGIN, LOG_KEY.public)
    assert NOTE.cosignatures({WITNESS: WITNESS_KEY.public}) == {WITNESS: 1790000000}


def test_unknown_signers_are_ignored():
    note = NOTE.with_lines(STRANGER_LINE)
    other = PrivateKey.generate().public
    assert note.log_signature_ok(ORIGIN, LOG_KEY.public)
    assert not note.log_signature_ok(ORIGIN, other)
    assert note.cosignatures({WITNESS: other, "witness.example/b": LOG_KEY.public}) == {}


def _broken(line):
    """The same signer, another signature."""
    start, _, text = line.rpartition(" ")
    blob = bytearray(base64.b64decode(text))
    blob[-1] ^= 1
    return f"{start} {base64.b64encode(blob).decode()}"


def test_a_wrong_line_of_a_known_signer_is_refused_even_beside_a_right_one():
    note = Note(CHECKPOINT, (LOG_LINE, WITNESS_LINE, _broken(LOG_LINE), _broken(WITNESS_LINE)))
    with pytest.raises(SignatureRefused):
        note.log_signature_ok(ORIGIN, LOG_KEY.public)
    with pytest.raises(SignatureRefused):
        note.cosignatures({WITNESS: WITNESS_KEY.public})


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint(ORIGIN, 7, ROOTS[8]),
        Checkpoint(ORIGIN, 8, ROOTS[7]),
        Checkpoint(ORIGIN, 0, EMPTY_ROOT),
    ],
)
def test_signatures_of_another_checkpoint_are_refused(checkpoint):
    note = Note(checkpoint, NOTE.lines)
    with pytest.raises(SignatureRefused):
        note.log_signature_ok(ORIGIN, LOG_KEY.public)
    with pytest.raises(SignatureRefused):
        note.cosignatures({WITNESS: WITNESS_KEY.public})


def test_a_note_of_another_log_is_refused():
    with pytest.raises(SignatureRefused, match="is of log"):
        NOTE.log_signature_ok("log.example/other", LOG_KEY.public)
    with pytest.raises(SignatureRefused, match="signs as its origin"):
        sign_checkpoint(CHECKPOINT, "log.example/other", LOG_KEY)


def test_a_cosignature_with_another_time_is_refused():
    blob = bytearray(base64.b64decode(WITNESS_LINE.rpartition(" ")[2]))
    blob[11] += 1
    line = f"— {WITNESS} {base64.b64encode(blob).decode()}"
    with pytest.raises(SignatureRefused):
        Note(CHECKPOINT, (line,)).cosignatures({WITNESS: WITNESS_KEY.public})


def test_a_log_signature_does_not_pass_for_a_cosignature_nor_the_reverse():
    as_witness = NOTE.cosignatures({ORIGIN: LOG_KEY.public})
    assert as_witness == {}
    note = Note(CHECKPOINT, (cosign(CHECKPOINT, ORIGIN, LOG_KEY, 5),))
    assert not note.log_signature_ok(ORIGIN, LOG_KEY.public)


def test_two_witnesses_with_one_key_are_refused():
    shared = {WITNESS: WITNESS_KEY.public, "witness.example/b": WITNESS_KEY.public}
    with pytest.raises(KeyRefused, match="share a key"):
        NOTE.cosignatures(shared)


def test_of_two_cosignatures_by_one_witness_the_later_counts_once():
    later = cosign(CHECKPOINT, WITNESS, WITNESS_KEY, 1790000060)
    for note in (NOTE.with_lines(later), Note(CHECKPOINT, (later, WITNESS_LINE))):
        assert note.cosignatures({WITNESS: WITNESS_KEY.public}) == {WITNESS: 1790000060}


def test_the_same_line_is_not_added_twice():
    assert NOTE.with_lines(LOG_LINE, WITNESS_LINE) == NOTE


ROOT = base64.b64encode(ROOTS[8]).decode()
EMPTY = base64.b64encode(EMPTY_ROOT).decode()


@pytest.mark.parametrize(
    ("body", "lines", "reason"),
    [
        (f"{ORIGIN}\n8\n{ROOT}\nextension\n", f"{LOG_LINE}\n", "4 lines"),
        (f"{ORIGIN}\n8\n", f"{LOG_LINE}\n", "2 lines"),
        (f"{ORIGIN}\n8\n{ROOT}\n\n{LOG_LINE}\n", f"{WITNESS_LINE}\n", "5 lines"),
        (f"{ORIGIN}\n08\n{ROOT}\n", f"{LOG_LINE}\n", "decimal"),
        (f"{ORIGIN}\n+8\n{ROOT}\n", f"{LOG_LINE}\n", "decimal"),
        (f"{ORIGIN}\n-8\n{ROOT}\n", f"{LOG_LINE}\n", "decimal"),
        (f"{ORIGIN}\n８\n{ROOT}\n", f"{LOG_LINE}\n", "decimal"),
        (f"{ORIGIN}\n{2**63}\n{ROOT}\n", f"{LOG_LINE}\n", "out of range"),
        (f"{ORIGIN}\n{10**30}\n{ROOT}\n", f"{LOG_LINE}\n", "decimal"),
        (f"{ORIGIN}\n8\n{ROOT[:-4]}\n", f"{LOG_LINE}\n", "out of range"),
        (f"{ORIGIN}\n8\n{ROOT[:-2]}h=\n", f"{LOG_LINE}\n", "base64"),
        (f"{ORIGIN}\n8\n{ROOT} \n", f"{LOG_LINE}\n", "base64"),
        (f"{ORIGIN}\n0\n{ROOT}\n", f"{LOG_LINE}\n", "empty"),
        (f"{ORIGIN}\n8\n{EMPTY}\n", f"{LOG_LINE}\n", "empty"),
        (f"\n8\n{ROOT}\n", f"{LOG_LINE}\n", "name is empty"),
        (f"log example\n8\n{ROOT}\n", f"{LOG_LINE}\n", "spaces"),
        (f"log+example\n8\n{ROOT}\n", f"{LOG_LINE}\n", "'\\+'"),
        (f"{'a' * 256}\n8\n{ROOT}\n", f"{LOG_LINE}\n", "too long"),
        (f"log\u202eexample\n8\n{ROOT}\n", f"{LOG_LINE}\n", "control"),
        (f"log\x1b[31m\n8\n{ROOT}\n", f"{LOG_LINE}\n", "control"),
        (f"{ORIGIN}\r\n8\n{ROOT}\n", f"{LOG_LINE}\n", "control"),
        (f"{ORIGIN}\n8\n{ROOT}\n", "", "no signature lines"),
        (f"{ORIGIN}\n8\n{ROOT}\n", LOG_LINE, "no signature lines"),
        (f"{ORIGIN}\n8\n{ROOT}\n", f"{LOG_LINE}\n{WITNESS_LINE}", "no signature lines"),
        (f"{ORIGIN}\n8\n{ROOT}\n", f"-{LOG_LINE[1:]}\n", "malformed"),
        (f"{ORIGIN}\n8\n{ROOT}\n", f"{LOG_LINE} \n", "malformed"),
        (f"{ORIGIN}\n8\n{ROOT}\n", "— name\n", "malformed"),
        (f"{ORIGIN}\n8\n{ROOT}\n", "— a+b AAAAAAA=\n", "'\\+'"),
        (f"{ORIGIN}\n8\n{ROOT}\n", "— name AAAAAAB=\n", "base64"),
        (f"{ORIGIN}\n8\n{ROOT}\n", "— name AAAA\n", "too short"),
        (f"{ORIGIN}\n8\n{ROOT}\n", f"{LOG_LINE}\n" * 9_000, "over the limit"),
    ],
)
def test_a_malformed_note_is_refused(body, lines, reason):
    with pytest.raises(SignatureRefused, match=reason):
        Note.parse(f"{body}\n{lines}".encode())


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xff\n8\n", b"\n" * 1_000_000])
def test_rubbish_is_refused(data):
    with pytest.raises(SignatureRefused):
        Note.parse(data)


@pytest.mark.parametrize(
    ("name", "time_s"), [("two words", 1), ("", 1), (WITNESS, -1), (WITNESS, 2**63)]
)
def test_a_witness_signs_no_line_that_nobody_could_read(name, time_s):
    with pytest.raises(SignatureRefused):
        cosign(CHECKPOINT, name, WITNESS_KEY, time_s)


def test_a_note_needs_a_line():
    with pytest.raises(SignatureRefused, match="nobody signed"):
        Note(CHECKPOINT, ())

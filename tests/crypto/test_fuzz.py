"""Ten thousand altered inputs each for the parsers of signed things: no crash, no acceptance."""

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_dsse import KEYS, KIND, PUBLIC
from test_notes import LOG_KEY, NOTE, ORIGIN, WITNESS, WITNESS_KEY

from concord.base.canonical import canonical_json, parse_canonical
from concord.base.errors import DocumentError, SignatureRefused, StatementRefused
from concord.crypto.dsse import Envelope, sign_envelope
from concord.crypto.notes import Note
from fuzzcases import FUZZ_CASES

PAYLOAD = canonical_json({"proposal": "a" * 64, "choice": "yes", "seq": 12, "of": [1, {"x": None}]})
ENVELOPE = sign_envelope(PAYLOAD, KIND, KEYS[:2]).encode()
IDS = {key.key_id for key in PUBLIC[:2]}
many = settings(
    max_examples=FUZZ_CASES,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
choices = st.integers(0, 2**32 - 1)  # one number for all choices, since drawing is what costs


def altered(data: bytes, choice: int) -> bytes:
    """`data` with one byte changed (so also each single bit), inserted, left out, or cut short."""
    kind, byte = choice % 4, choice // 4 % 255 + 1
    place = choice // 1024 % len(data)
    if kind == 0:
        return data[:place] + bytes([data[place] ^ byte]) + data[place + 1 :]
    if kind == 1:
        return data[:place] + bytes([byte]) + data[place:]
    if kind == 2:
        return data[:place] + data[place + 1 :]
    return data[:place]


@many
@given(choices)
def test_an_altered_document_is_refused_or_is_another_document(choice):
    data = altered(PAYLOAD, choice)
    try:
        value = parse_canonical(data, max_bytes=65_535)
    except DocumentError:
        return
    assert canonical_json(value) == data


@many
@given(choices)
def test_an_altered_envelope_is_never_accepted_for_what_was_signed(choice):
    data = altered(ENVELOPE, choice)
    if data == ENVELOPE:  # a byte inserted beside its like and one left out are no alteration
        return
    try:
        envelope = Envelope.decode(data)
    except StatementRefused:
        return
    assert envelope.encode() == data
    assert envelope.verified_by(PUBLIC) < IDS


@many
@given(choices)
def test_an_altered_note_is_never_accepted_for_what_was_signed(choice):
    data = altered(NOTE.encode(), choice)
    if data == NOTE.encode():
        return
    try:
        note = Note.parse(data)
        if note.log_signature_ok(ORIGIN, LOG_KEY.public):
            cosigned = note.cosignatures({WITNESS: WITNESS_KEY.public})
            assert note.checkpoint == NOTE.checkpoint
            assert not cosigned
    except SignatureRefused:
        return
    assert note.encode() == data


@many
@given(st.binary(max_size=120))
def test_rubbish_never_crashes_a_parser(data):
    for parse, error in [
        (lambda: parse_canonical(data, max_bytes=100), DocumentError),
        (lambda: Envelope.decode(data), StatementRefused),
        (lambda: Note.parse(NOTE.encode()[: len(data)] + data), SignatureRefused),
    ]:
        try:
            parse()
        except error:
            continue

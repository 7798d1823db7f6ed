"""Envelopes: the published encoding, a second implementation, and what must not count."""

import base64
import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as ReferenceEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from concord.base.canonical import canonical_json
from concord.base.errors import SignatureRefused, StatementRefused
from concord.crypto.dsse import (
    Envelope,
    Signature,
    pre_authentication_encoding,
    sign_envelope,
)
from concord.crypto.keys import PrivateKey

KIND = "application/vnd.in-toto+json"
KEYS = [PrivateKey.from_seed(bytes([n]) * 32) for n in range(1, 6)]
PUBLIC = [key.public for key in KEYS]


def test_the_published_encoding():
    assert pre_authentication_encoding(b"hello world", "http://example.com/HelloWorld") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    encoding = pre_authentication_encoding(b"{}", KIND)
    assert encoding == b"DSSEv1 28 application/vnd.in-toto+json 2 {}"
    assert hashlib.sha256(encoding).hexdigest() == (
        "4842cb1ba6fed6e460d8a0d56f6b64ccf1f1e11f7714a7f282080d5780251b63"
    )


def _reference_key(key):
    value = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": key.raw.hex()}}
    return SSlibKey.from_dict(key.key_id, value)


@given(st.binary(max_size=200))
def test_a_second_implementation_verifies_what_we_sign(payload):
    envelope = sign_envelope(payload, KIND, KEYS[:3])
    reference = ReferenceEnvelope.from_dict(json.loads(envelope.encode()))
    accepted = reference.verify([_reference_key(key) for key in PUBLIC], 3)
    assert set(accepted) == {key.key_id for key in PUBLIC[:3]}
    with pytest.raises(VerificationError):
        reference.verify([_reference_key(key) for key in PUBLIC], 4)


@given(st.binary(max_size=200))
def test_we_verify_what_a_second_implementation_signs(payload):
    reference = ReferenceEnvelope(payload, KIND, {})
    for key in KEYS[:3]:
        reference.sign(CryptoSigner(key.inner, _reference_key(key.public)))
    envelope = Envelope.decode(canonical_json(reference.to_dict()))
    assert envelope.payload == payload
    assert envelope.verify(PUBLIC, 3) == {key.key_id for key in PUBLIC[:3]}


def test_an_envelope_is_read_back():
    envelope = sign_envelope(b'{"vote":"yes"}', KIND, KEYS)
    assert Envelope.decode(envelope.encode()) == envelope


def test_enough_distinct_keys_are_accepted_and_one_less_is_not():
    envelope = sign_envelope(b"{}", KIND, KEYS[:3])
    assert len(envelope.verify(PUBLIC, 3)) == 3
    with pytest.raises(SignatureRefused, match="signed by 3 of the keys that count, 4"):
        envelope.verify(PUBLIC, 4)


def test_one_key_never_counts_twice():
    envelope = sign_envelope(b"{}", KIND, [KEYS[0], KEYS[0], KEYS[0]])
    assert len(envelope.signatures) == 1
    with pytest.raises(SignatureRefused):
        envelope.verify([PUBLIC[0], PUBLIC[0], PUBLIC[1]], 2)
    twice = replace(envelope, signatures=envelope.signatures * 2)
    assert len(twice.verified_by([PUBLIC[0], PUBLIC[0]])) == 1
    with pytest.raises(SignatureRefused):
        twice.verify(PUBLIC, 2)
    with pytest.raises(StatementRefused, match="one key twice"):
        twice.encode()


def test_one_signature_under_two_names_counts_for_its_key_only():
    envelope = sign_envelope(b"{}", KIND, KEYS[:1])
    borrowed = Signature(PUBLIC[1].key_id, envelope.signatures[0].signature)
    forged = replace(envelope, signatures=(*envelope.signatures, borrowed))
    assert forged.verified_by(PUBLIC) == {PUBLIC[0].key_id}
    with pytest.raises(SignatureRefused, match="altered"):
        forged.verify(PUBLIC, 1)


def test_a_wrong_signature_of_a_known_key_is_never_overlooked():
    envelope = sign_envelope(b"{}", KIND, KEYS[:3])
    with pytest.raises(SignatureRefused, match="altered") as refused:
        replace(envelope, payload=b"[]").verify(PUBLIC, 1)
    assert PUBLIC[0].key_id in str(refused.value)
    with pytest.raises(SignatureRefused):
        replace(envelope, payload_type=KIND + "x").verify(PUBLIC, 1)


def test_signatures_by_strangers_are_ignored():
    envelope = sign_envelope(b"{}", KIND, KEYS[:2])
    assert envelope.verify(PUBLIC[:1], 1) == {PUBLIC[0].key_id}
    with pytest.raises(SignatureRefused, match="signed by 0"):
        envelope.verify(PUBLIC[3:], 1)


@pytest.mark.parametrize("threshold", [0, -1])
def test_a_threshold_that_asks_for_nobody_is_refused(threshold):
    with pytest.raises(SignatureRefused, match="nobody signed"):
        sign_envelope(b"{}", KIND, KEYS[:1]).verify(PUBLIC, threshold)


def test_bytes_cannot_move_between_type_and_payload():
    one = pre_authentication_encoding(b"b 1 c", "a")
    two = pre_authentication_encoding(b"c", "a 5 b")
    assert one != two


def _fields():
    return json.loads(sign_envelope(b"{}", KIND, KEYS[:2]).encode())


def _changed(**fields):
    return canonical_json(_fields() | fields)


def _resigned(**fields):
    value = _fields()
    value["signatures"][0] |= fields
    return canonical_json(value)


ONE = {"keyid": "a" * 64, "sig": base64.b64encode(bytes(64)).decode()}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_changed(extra=1), "no other"),
        (canonical_json({k: v for k, v in _fields().items() if k != "payload"}), "no other"),
        (b"[]", "no other"),
        (b"null", "no other"),
        (_changed(payload=3), "base64"),
        (_changed(payload="e30"), "base64"),
        (_changed(payload="e31="), "base64"),
        (_changed(payload="e3 0="), "base64"),
        (_changed(payload="e30=\n"), "base64"),
        (_changed(payload="_-8="), "base64"),
        (_changed(payload="é"), "base64"),
        (_changed(payloadType=None), "not text"),
        (_changed(payloadType=""), "ASCII"),
        (_changed(payloadType="a b"), "ASCII"),
        (_changed(payloadType="é"), "ASCII"),
        (_changed(payloadType="a" * 129), "ASCII"),
        (_changed(signatures={}), "not a list"),
        (_changed(signatures=[]), "0 signatures"),
        (_changed(signatures=[7]), "no other"),
        (_changed(signatures=[ONE, ONE]), "one key twice"),
        (_changed(signatures=[ONE | {"keyid": f"{n:064x}"} for n in range(65)]), "65 signatures"),
        (_resigned(keyid="A" * 64), "keyid"),
        (_resigned(keyid="a" * 63), "keyid"),
        (_resigned(keyid=1), "keyid"),
        (_resigned(sig=base64.b64encode(bytes(63)).decode()), "63 bytes"),
        (_resigned(sig=""), "0 bytes"),
        (_resigned(cert="x"), "no other"),
        (_changed() + b"\n", "canonical"),
        (json.dumps(_fields()).encode(), "canonical"),
        (_changed(payload=base64.b64encode(bytes(60_000)).decode()), "over the limit"),
        (b"", "not strict"),
    ],
)
def test_a_malformed_envelope_is_refused(data, reason):
    with pytest.raises(StatementRefused, match=reason):
        Envelope.decode(data)


def test_sixty_four_signatures_are_accepted():
    signatures = [ONE | {"keyid": f"{n:064x}"} for n in range(64)]
    assert len(Envelope.decode(_changed(signatures=signatures)).signatures) == 64


def test_what_could_not_be_read_is_not_written():
    with pytest.raises(StatementRefused, match="over the limit"):
        sign_envelope(bytes(50_000), KIND, KEYS[:1]).encode()
    with pytest.raises(StatementRefused, match="0 signatures"):
        sign_envelope(b"{}", KIND, []).encode()
    with pytest.raises(StatementRefused, match="ASCII"):
        sign_envelope(b"{}", "two words", KEYS[:1]).encode()

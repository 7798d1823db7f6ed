"""Signed envelopes: DSSE v1 with Ed25519, in one canonical form.

    PAE = "DSSEv1" SP len(type) SP type SP len(payload) SP payload        what is signed
    {"payload":base64,"payloadType":text,"signatures":[{"keyid":hex,"sig":base64}, ...]}

Lengths are decimal, in bytes. A key is named by the SHA-256 of its 32 bytes, so one key can sign
under one name only. Whether a signer may say what the payload says is not decided here.

Source: https://github.com/secure-systems-lab/dsse, protocol.md and envelope.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from concord.base.canonical import canonical_json, parse_canonical
from concord.base.errors import DocumentError, SignatureRefused, StatementRefused
from concord.crypto.base64text import from_base64, to_base64
from concord.crypto.keys import SIGNATURE_BYTES, PrivateKey, PublicKey

MAX_ENVELOPE_BYTES = 65_535  # a log entry's length is a u16
MAX_SIGNATURES = 64
MAX_TYPE_CHARS = 128
_KEY_ID = re.compile(r"[0-9a-f]{64}")
_TYPE = re.compile(rf"[\x21-\x7e]{{1,{MAX_TYPE_CHARS}}}")


def pre_authentication_encoding(payload: bytes, payload_type: str) -> bytes:
    """The bytes that are signed: type and payload, each with its length."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True)
class Signature:
    """A claim that the key named by `key_id` signed; worth nothing before it is verified."""

    key_id: str
    signature: bytes


@dataclass(frozen=True)
class Envelope:
    """A payload, what it is, and signatures over both."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...] = ()

    def with_signature(self, key: PrivateKey) -> Envelope:
        """The same envelope signed by `key` too; a key's earlier signature is replaced."""
        encoding = pre_authentication_encoding(self.payload, self.payload_type)
        mine = Signature(key.public.key_id, key.sign(encoding))
        others = (known for known in self.signatures if known.key_id != mine.key_id)
        return replace(self, signatures=(*others, mine))

    def encode(self) -> bytes:
        """Canonical JSON (RFC 8785).

        Raises:
            StatementRefused: it would not be accepted by `decode`.
        """
        signatures = [{"keyid": s.key_id, "sig": to_base64(s.signature)} for s in self.signatures]
        data = canonical_json(
            {
                "payload": to_base64(self.payload),
                "payloadType": self.payload_type,
                "signatures": signatures,
            }
        )
        if len(data) > MAX_ENVELOPE_BYTES:
            raise StatementRefused(
                f"the envelope of {len(data):,} bytes is over the limit of {MAX_ENVELOPE_BYTES:,}",
                remedy="put the content into an object, and its digest into the statement",
            )
        self._check()
        return data

    @classmethod
    def decode(cls, data: bytes) -> Envelope:
        """Read an envelope; signatures are not verified.

        Raises:
            StatementRefused: too large, not canonical JSON, a key missing or unknown, base64 in
                another form, no signature, more than 64, or two of one key.
        """
        try:
            fields = parse_canonical(data, where="envelope", max_bytes=MAX_ENVELOPE_BYTES)
        except DocumentError as error:
            raise StatementRefused(error.message, where="envelope", remedy=error.remedy) from error
        payload, kind, signatures = _fields(fields, "payload", "payloadType", "signatures")
        if not isinstance(kind, str):
            raise StatementRefused("is not text", where="envelope.payloadType")
        if not isinstance(signatures, list):
            raise StatementRefused("is not a list", where="envelope.signatures")
        found = cls(_bytes(payload, "payload"), kind, tuple(map(_signature, signatures)))
        found._check()
        return found

    def _check(self) -> None:
        if not _TYPE.fullmatch(self.payload_type):
            message = f"is not 1 to {MAX_TYPE_CHARS} printable ASCII characters"
            raise StatementRefused(message, where="envelope.payloadType")
        names = {signature.key_id for signature in self.signatures}
        where = "envelope.signatures"
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            message = f"{len(self.signatures)} signatures, not 1 to {MAX_SIGNATURES}"
            raise StatementRefused(message, where=where)
        if len(names) != len(self.signatures):
            raise StatementRefused("names one key twice", where=where)

    def verified_by(self, keys: Iterable[PublicKey]) -> frozenset[str]:
        """Ids of those among `keys` whose signature is here and holds."""
        return frozenset(key_id for key_id, error in self._tried(keys).items() if error is None)

    def verify(self, keys: Iterable[PublicKey], threshold: int) -> frozenset[str]:
        """Ids of the keys that signed, if they are enough.

        Args:
            keys: Keys that count. A signature by any other key is ignored.
            threshold: Distinct keys needed, at least 1.

        Raises:
            SignatureRefused: fewer than `threshold` distinct keys signed, or the signature of one
                of `keys` is wrong, which means that the envelope was altered.
        """
        if threshold < 1:
            raise SignatureRefused(f"a threshold of {threshold} would accept what nobody signed")
        tried = self._tried(keys)
        for key_id, error in tried.items():
            if error is not None:
                message = "a signature is wrong: the envelope was altered, or another was signed"
                raise SignatureRefused(message, where=f"key {key_id}") from error
        if len(tried) < threshold:
            message = f"signed by {len(tried)} of the keys that count, {threshold} are needed"
            raise SignatureRefused(message, remedy="ask the others to sign")
        return frozenset(tried)

    def _tried(self, keys: Iterable[PublicKey]) -> dict[str, SignatureRefused | None]:
        """For each of `keys` that is named here: why its signature fails, or None."""
        encoding = pre_authentication_encoding(self.payload, self.payload_type)
        by_id = {key.key_id: key for key in keys}
        tried: dict[str, SignatureRefused | None] = {}
        for claim in self.signatures:
            if (key := by_id.get(claim.key_id)) is None:
                continue
            try:
                key.verify(claim.signature, encoding)
                tried.setdefault(claim.key_id, None)
            except SignatureRefused as error:
                tried[claim.key_id] = error
        return tried


def sign_envelope(payload: bytes, payload_type: str, keys: Iterable[PrivateKey]) -> Envelope:
    """An envelope signed by each of `keys`."""
    envelope = Envelope(payload, payload_type)
    for key in keys:
        envelope = envelope.with_signature(key)
    return envelope


def _fields(value: Any, *names: str, where: str = "envelope") -> tuple[Any, ...]:
    if not isinstance(value, dict) or value.keys() != set(names):
        raise StatementRefused(f"must have the keys {', '.join(names)} and no other", where=where)
    return tuple(value[name] for name in names)


def _signature(value: Any) -> Signature:
    where = "envelope.signatures"
    key_id, text = _fields(value, "keyid", "sig", where=where)
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise StatementRefused("a keyid is not 64 lowercase hex digits", where=where)
    signature = _bytes(text, "signatures")
    if len(signature) != SIGNATURE_BYTES:
        message = f"a signature has {len(signature)} bytes, not {SIGNATURE_BYTES}"
        raise StatementRefused(message, where=where)
    return Signature(key_id, signature)


def _bytes(value: Any, field: str) -> bytes:
    try:
        if not isinstance(value, str):
            raise ValueError("not text")
        return from_base64(value)
    except ValueError as error:
        raise StatementRefused(
            f"is not canonical base64: {error}", where=f"envelope.{field}"
        ) from error

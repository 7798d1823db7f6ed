"""Ed25519 keys (RFC 8032): in memory and as text. Key files are in `keyfiles`.

A public key of small order is refused: with such a key a signature exists that holds for every
message, so it could not tie anybody to anything.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from concord.base.errors import KeyRefused, SignatureRefused

KEY_BYTES = 32
SIGNATURE_BYTES = 64
_TEXT = re.compile(r"ed25519:([0-9a-f]{64})")
_P = 2**255 - 19
_Y8 = int.from_bytes(
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
)
# y of the eight points whose order divides 8; a test checks them with the curve's arithmetic.
_SMALL_ORDER_Y = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})


@dataclass(frozen=True)
class PublicKey:
    """A key that checks signatures.

    Raises:
        KeyRefused: `raw` is not 32 bytes, or a point of small order.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_BYTES:
            raise KeyRefused(f"a public key has {KEY_BYTES} bytes, not {len(self.raw)}")
        y = int.from_bytes(self.raw, "little") & (2**255 - 1)
        if y >= _P or y in _SMALL_ORDER_Y:
            raise KeyRefused(
                "this public key would accept forged signatures",
                where=self.text,
                remedy="ask its owner for a key that was made by drawing a seed",
            )

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read what `text` writes.

        Raises:
            KeyRefused: it is something else.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise KeyRefused(
                f"{text[:80]!r} is not a public key",
                remedy="write 'ed25519:' and 64 digits of 0-9 and a-f",
            )
        return cls(bytes.fromhex(found[1]))

    @property
    def text(self) -> str:
        return f"ed25519:{self.raw.hex()}"

    @cached_property
    def key_id(self) -> str:
        """SHA-256 of the raw key, in lowercase hex."""
        return hashlib.sha256(self.raw).hexdigest()

    def verify(self, signature: bytes, data: bytes) -> None:
        """Check that this key's owner signed `data`.

        Raises:
            SignatureRefused: it is not so.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError) as error:
            raise SignatureRefused("the signature does not match", where=self.text) from error


class PrivateKey:
    """A key that signs. Its `repr` names the public half only."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self.inner = key
        self.public = PublicKey(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> PrivateKey:
        """A new key from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> PrivateKey:
        """The key of a 32-byte seed, for published vectors.

        Raises:
            KeyRefused: the seed has another length.
        """
        if len(seed) != KEY_BYTES:
            raise KeyRefused(f"a seed has {KEY_BYTES} bytes, not {len(seed)}")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def sign(self, data: bytes) -> bytes:
        """Signature of 64 bytes; the same every time."""
        return self.inner.sign(data)

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.text})"

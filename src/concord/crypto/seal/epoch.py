"""An epoch's keys: one hybrid key per member, and one secret per pair, sealed from both sides.

    key    = ML-KEM-768 public key (1184) || X25519 public key (32)
    E      = SHA-256(epoch keys of the cohort, in index order; each: key || beacon commitment)
    s_i>j  = 32 fresh bytes, sealed by i to j: HPKE base mode, (ML-KEM-768 + X25519, HKDF-SHA256,
             AES-256-GCM), info = label(seal/epoch) || run || E || u16 i || u16 j
    PRK_ij = HKDF-Extract(salt = label(seal/pair), s_lo>hi || s_hi>lo)

Base mode does not say who sealed: the signature of the statement that carries the secrets does.
An attacker needs to break both halves of the key. The suite is fixed: nothing can be negotiated
down. The private key is to be deleted once all pairs are in.

Sources: RFC 9180; FIPS 203; draft-ietf-hpke-pq as `cryptography` implements it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from concord.base.errors import SealRefused
from concord.crypto.seal.labels import HASH_BYTES, exactly, extract, label, u16
from concord.crypto.seal.shamir import Entropy

KEM_KEY_BYTES, DH_KEY_BYTES = 1184, 32
KEY_BYTES = KEM_KEY_BYTES + DH_KEY_BYTES
PRIVATE_BYTES = 64 + 32
SECRET_BYTES = 32
SEALED_BYTES = 1168
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True)
class EpochKey:
    """What a member publishes for an epoch: its key, and the commitment to its beacon.

    Raises:
        SealRefused: another length, a key that is none, or an X25519 point of low order, with
            which the classical half would be known to everyone.
    """

    key: bytes
    beacon_commitment: bytes

    def __post_init__(self) -> None:
        exactly(self.key, KEY_BYTES, where="epoch key")
        exactly(self.beacon_commitment, HASH_BYTES, where="beacon commitment")
        try:
            _SUITE.encrypt(b"", self._public, info=b"")
        except ValueError as error:
            raise SealRefused("is no usable key", where="epoch key") from error

    @property
    def _public(self) -> MLKEM768X25519PublicKey:
        kem = MLKEM768PublicKey.from_public_bytes(self.key[:KEM_KEY_BYTES])
        dh = X25519PublicKey.from_public_bytes(self.key[KEM_KEY_BYTES:])
        return MLKEM768X25519PublicKey(kem, dh)

    def encode(self) -> bytes:
        """1,248 bytes."""
        return self.key + self.beacon_commitment

    @classmethod
    def decode(cls, data: bytes) -> EpochKey:
        """Read what `encode` writes; raises SealRefused like the class."""
        exactly(data, KEY_BYTES + HASH_BYTES, where="epoch key")
        return cls(data[:KEY_BYTES], data[KEY_BYTES:])

    def seal(self, secret: bytes, info: bytes) -> bytes:
        """The secret, for the owner of this key alone."""
        return _SUITE.encrypt(secret, self._public, info=info)


class EpochPrivateKey:
    """The private half; `encode` is for the member's own disk. Its `repr` shows nothing."""

    def __init__(self, kem: MLKEM768PrivateKey, dh: X25519PrivateKey) -> None:
        self._kem, self._dh = kem, dh

    @classmethod
    def generate(cls) -> EpochPrivateKey:
        """A new key from the operating system's randomness."""
        return cls(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    @classmethod
    def decode(cls, data: bytes) -> EpochPrivateKey:
        """Read what `encode` writes.

        Raises:
            SealRefused: another length.
        """
        exactly(data, PRIVATE_BYTES, where="epoch private key")
        kem = MLKEM768PrivateKey.from_seed_bytes(data[:64])
        return cls(kem, X25519PrivateKey.from_private_bytes(data[64:]))

    def encode(self) -> bytes:
        """96 bytes: the ML-KEM seed and the X25519 key."""
        return self._kem.private_bytes_raw() + self._dh.private_bytes_raw()

    @property
    def public(self) -> bytes:
        """`EpochKey.key`."""
        return self._kem.public_key().public_bytes_raw() + self._dh.public_key().public_bytes_raw()

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """The secret that was sealed to this key under `info`.

        Raises:
            SealRefused: it was sealed to another key, under another `info`, or altered.
        """
        exactly(sealed, SEALED_BYTES, where="sealed secret")
        private = MLKEM768X25519PrivateKey(self._kem, self._dh)
        try:
            secret = _SUITE.decrypt(sealed, private, info=info)
        except (InvalidTag, ValueError) as error:
            message = "does not open: it is for another key, epoch or pair, or was altered"
            raise SealRefused(message, where="sealed secret") from error
        return exactly(secret, SECRET_BYTES, where="sealed secret")

    def __repr__(self) -> str:
        return "EpochPrivateKey(...)"


def epoch_digest(keys: Sequence[EpochKey]) -> bytes:
    """E, from the epoch keys of a cohort in index order.

    Raises:
        SealRefused: two members have the same key, in whole or in one half, or the same beacon
            commitment: one of them copied the other.
    """
    for part in ("post-quantum key", "classical key", "beacon commitment"):
        seen: dict[bytes, int] = {}
        for index, key in enumerate(keys):
            if (first := seen.setdefault(_part(key, part), index)) != index:
                message = f"members {first} and {index} have the same {part}"
                raise SealRefused(message, where="epoch keys", remedy="one of them makes a new one")
    return hashlib.sha256(b"".join(key.encode() for key in keys)).digest()


def seal_pair_secrets(
    run: bytes, keys: Sequence[EpochKey], me: int, entropy: Entropy
) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """Draw a secret for each other member, and seal it.

    Returns:
        The secrets, to be kept at home, and what to publish; both by the other's index.

    Raises:
        SealRefused: equal keys, or `me` is not in the cohort.
    """
    others = _others(keys, me)
    digest = epoch_digest(keys)
    secrets = {j: entropy(SECRET_BYTES) for j in others}
    sealed = {j: keys[j].seal(secrets[j], _info(run, digest, me, j)) for j in others}
    return secrets, sealed


def open_pair_secret(
    run: bytes, keys: Sequence[EpochKey], private: EpochPrivateKey, *, me: int, of: int, data: bytes
) -> bytes:
    """s_of>me, from what member `of` published for me.

    Raises:
        SealRefused: it does not open under this run, these keys and this pair.
    """
    return private.open(data, _info(run, epoch_digest(keys), of, me))


def pair_keys(me: int, mine: Mapping[int, bytes], theirs: Mapping[int, bytes]) -> dict[int, bytes]:
    """PRK_ij by the other's index, from the secrets that I drew and those that I was sent.

    Raises:
        SealRefused: the two do not name the same members.
    """
    if mine.keys() != theirs.keys() or me in mine:
        raise SealRefused("a secret of a pair is missing", where="epoch secrets")
    return {j: pair_key(me, j, mine[j], theirs[j]) for j in sorted(mine)}


def pair_key(me: int, other: int, mine: bytes, theirs: bytes) -> bytes:
    """PRK_ij; the same at both ends."""
    for secret in (mine, theirs):
        exactly(secret, SECRET_BYTES, where="epoch secret")
    return extract("seal/pair", mine + theirs if me < other else theirs + mine)


def encode_sealed(sealed: Mapping[int, bytes], members: int, me: int) -> bytes:
    """All sealed secrets of a member as one string, in index order."""
    return b"".join(
        exactly(sealed[j], SEALED_BYTES, where="sealed secret") for j in range(members) if j != me
    )


def decode_sealed(data: bytes, members: int, me: int) -> dict[int, bytes]:
    """Read what `encode_sealed` writes.

    Raises:
        SealRefused: another length.
    """
    exactly(data, SEALED_BYTES * (members - 1), where="sealed secrets")
    others = [j for j in range(members) if j != me]
    parts = [data[k * SEALED_BYTES : (k + 1) * SEALED_BYTES] for k in range(members - 1)]
    return dict(zip(others, parts, strict=True))


def _part(key: EpochKey, part: str) -> bytes:
    if part == "beacon commitment":
        return key.beacon_commitment
    is_kem = part == "post-quantum key"
    return key.key[:KEM_KEY_BYTES] if is_kem else key.key[KEM_KEY_BYTES:]


def _others(keys: Sequence[EpochKey], me: int) -> list[int]:
    if not 0 <= me < len(keys):
        raise SealRefused(f"there is no member {me}", where="epoch keys")
    return [j for j in range(len(keys)) if j != me]


def _info(run: bytes, digest: bytes, i: int, j: int) -> bytes:
    return label("seal/epoch") + exactly(run, HASH_BYTES, where="run") + digest + u16(i) + u16(j)

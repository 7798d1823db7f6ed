"""Set-up of an instance at one member: its tags, its two seeds dealt as shares, and its blob.

    b_i, rho_i   seeds (byte 00, 31 random): of the member's own mask, and of its blob
    blob_i       AES-256-GCM(Expand(rho_i, seal/blob, ctx, i), all r_ij ascending j)
    to j         AES-256-GCM(e_i>j, nonce32 || share_j(b_i) || nonce32 || share_j(rho_i)),
                 additional data ctx || u16 i || u16 j
    commitments  SHA-256(label(seal/b) || ctx || u16 i || b_i), seal/r likewise, and for shares
                 SHA-256(label(seal/sh-b) || ctx || u16 i || u16 j || nonce32 || share), seal/sh-r

If i survives, others reveal their shares of b_i, which removes i's own mask; if i drops out, those
of rho_i, which opens the blob and removes what i's partners masked against i. Both together would
lay i's update bare, so nobody ever reveals both.

Every nonce is random and sent along, so that a set-up repeated after a crash repeats none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from concord.base.errors import SealRefused
from concord.crypto.seal.cohorts import Cohort
from concord.crypto.seal.instance import (
    TAG_BYTES,
    Instance,
    blob_key,
    confirmation_tag,
    round_secret,
    share_key,
)
from concord.crypto.seal.labels import HASH_BYTES, exactly, labelled_hash, u16
from concord.crypto.seal.shamir import SEED_BYTES, SHARE_BYTES, Entropy, new_seed, split

Kind = Literal["b", "r"]
"""Which seed: the member's own mask, or its blob."""
NONCE_BYTES, SALT_BYTES, GCM_TAG_BYTES = 12, 32, 16
_PAIR_BYTES = 2 * (SALT_BYTES + SHARE_BYTES)
ENCRYPTED_BYTES = NONCE_BYTES + _PAIR_BYTES + GCM_TAG_BYTES


@dataclass(frozen=True)
class Share:
    """One share, and the nonce that hides it in its commitment."""

    salt: bytes
    share: bytes

    def __post_init__(self) -> None:
        exactly(self.salt, SALT_BYTES, where="share nonce")
        exactly(self.share, SHARE_BYTES, where="share")

    def commitment(self, kind: Kind, ctx: bytes, dealer: int, holder: int) -> bytes:
        place = (ctx, u16(dealer), u16(holder))
        return labelled_hash(f"seal/sh-{kind}", *place, self.salt, self.share)


@dataclass(frozen=True)
class SharePair:
    """What one member holds of another: a share of each of its seeds."""

    b: Share
    r: Share

    def encode(self) -> bytes:
        return self.b.salt + self.b.share + self.r.salt + self.r.share

    @classmethod
    def decode(cls, data: bytes) -> SharePair:
        exactly(data, _PAIR_BYTES, where="share pair")
        half = SALT_BYTES + SHARE_BYTES
        b, r = data[:half], data[half:]
        return cls(Share(b[:SALT_BYTES], b[SALT_BYTES:]), Share(r[:SALT_BYTES], r[SALT_BYTES:]))

    def of(self, kind: Kind) -> Share:
        return self.b if kind == "b" else self.r


@dataclass(frozen=True)
class Setup:
    """What a member publishes before it trains. Public; all tuples by index in the cohort.

    `tags` and `encrypted` hold zeros at the member's own place.
    """

    ctx: bytes
    member: int
    tags: tuple[bytes, ...]
    b_commitment: bytes
    r_commitment: bytes
    b_shares: tuple[bytes, ...]
    r_shares: tuple[bytes, ...]
    encrypted: tuple[bytes, ...]
    blob: bytes

    @staticmethod
    def length(members: int) -> int:
        """Bytes of a set-up in a cohort of that size."""
        per_member = TAG_BYTES + 2 * HASH_BYTES + ENCRYPTED_BYTES
        return HASH_BYTES + 2 + members * per_member + 2 * HASH_BYTES + blob_bytes(members)

    def encode(self) -> bytes:
        """ctx || u16 member || tags || commitments of b, rho, shares || shares || blob."""
        return b"".join([
            self.ctx, u16(self.member), *self.tags, self.b_commitment, self.r_commitment,
            *self.b_shares, *self.r_shares, *self.encrypted, self.blob,
        ])  # fmt: skip

    @classmethod
    def decode(cls, data: bytes, members: int) -> Setup:
        """Read what `encode` writes, in a cohort of `members`.

        Raises:
            SealRefused: another length, a member outside the cohort, or something at the
                member's own place.
        """
        exactly(data, cls.length(members), where="set-up")
        take = _Reader(data)
        ctx, member = take(HASH_BYTES), int.from_bytes(take(2), "big")
        if member >= members:
            raise SealRefused(f"there is no member {member}", where="set-up")
        tags = tuple(take(TAG_BYTES) for _ in range(members))
        commitments = take(HASH_BYTES), take(HASH_BYTES)
        b_shares = tuple(take(HASH_BYTES) for _ in range(members))
        r_shares = tuple(take(HASH_BYTES) for _ in range(members))
        encrypted = tuple(take(ENCRYPTED_BYTES) for _ in range(members))
        if any(tags[member]) or any(encrypted[member]):
            raise SealRefused("deals with itself", where=f"set-up of member {member}")
        blob = take(blob_bytes(members))
        return cls(ctx, member, tags, *commitments, b_shares, r_shares, encrypted, blob)

    def commitment(self, kind: Kind) -> bytes:
        return self.b_commitment if kind == "b" else self.r_commitment

    def accepts(self, kind: Kind, holder: int, share: Share) -> bool:
        """Whether the dealer committed to this share for that holder."""
        committed = self.b_shares if kind == "b" else self.r_shares
        expected = share.commitment(kind, self.ctx, self.member, holder)
        return 0 <= holder < len(committed) and committed[holder] == expected


@dataclass(frozen=True)
class OwnSetup:
    """A member's own set-up: secrets for its own disk, and what it publishes."""

    b: bytes
    r: bytes
    own_shares: SharePair
    public: Setup

    def encode(self) -> bytes:
        """b || rho || own share pair || the public part."""
        return self.b + self.r + self.own_shares.encode() + self.public.encode()

    @classmethod
    def decode(cls, data: bytes, members: int) -> OwnSetup:
        take = _Reader(data)
        b, r = take(SEED_BYTES), take(SEED_BYTES)
        pair = SharePair.decode(take(_PAIR_BYTES))
        return cls(b, r, pair, Setup.decode(take.rest(), members))

    def __repr__(self) -> str:
        return f"OwnSetup(member={self.public.member})"


def blob_bytes(members: int) -> int:
    return NONCE_BYTES + SEED_BYTES * (members - 1) + GCM_TAG_BYTES


def make_setup(
    instance: Instance, cohort: Cohort, me: int, keys: Mapping[int, bytes], entropy: Entropy
) -> OwnSetup:
    """A set-up with fresh seeds. Keep it on disk before any of it is sent.

    Args:
        keys: PRK_ij of every other member of the cohort.
        entropy: Random bytes that nobody else can know, such as `os.urandom`.

    Raises:
        SealRefused: the instance is of another cohort, or a key is missing.
    """
    check_keys(instance, cohort, me, keys)
    ctx, size = instance.ctx, cohort.size
    b, r = new_seed(entropy), new_seed(entropy)
    pairs = _deal(b, r, cohort, entropy)
    secrets = {j: round_secret(keys[j], ctx, me, j) for j in sorted(keys)}
    public = Setup(
        ctx=ctx,
        member=me,
        tags=tuple(_at(j, me, TAG_BYTES) or confirmation_tag(secrets[j]) for j in range(size)),
        b_commitment=seed_commitment("b", ctx, me, b),
        r_commitment=seed_commitment("r", ctx, me, r),
        b_shares=tuple(pair.b.commitment("b", ctx, me, j) for j, pair in enumerate(pairs)),
        r_shares=tuple(pair.r.commitment("r", ctx, me, j) for j, pair in enumerate(pairs)),
        encrypted=tuple(
            _at(j, me, ENCRYPTED_BYTES) or encrypt_pair(keys[j], ctx, me, j, pair, entropy)
            for j, pair in enumerate(pairs)
        ),
        blob=_encrypt(blob_key(r, ctx, me), b"".join(secrets.values()), ctx + u16(me), entropy),
    )
    return OwnSetup(b, r, pairs[me], public)


def check_keys(instance: Instance, cohort: Cohort, me: int, keys: Mapping[int, bytes]) -> None:
    """Refuse keys that are not those of all the others in the instance's cohort.

    Raises:
        SealRefused: it is so.
    """
    if instance.cohort != cohort.digest:
        raise SealRefused("is of another cohort", where="instance.cohort")
    if set(keys) != set(range(cohort.size)) - {me} or not 0 <= me < cohort.size:
        raise SealRefused("are not those of all other members", where="pair keys")


def seed_commitment(kind: Kind, ctx: bytes, member: int, seed: bytes) -> bytes:
    return labelled_hash(f"seal/{kind}", ctx, u16(member), seed)


def encrypt_pair(
    prk: bytes, ctx: bytes, me: int, other: int, pair: SharePair, entropy: Entropy
) -> bytes:
    """What I deal to another member, for it alone."""
    key = share_key(prk, ctx, me, other)
    return _encrypt(key, pair.encode(), ctx + u16(me) + u16(other), entropy)


def open_share_pair(setup: Setup, me: int, key: bytes) -> SharePair | None:
    """My shares of another member's seeds, or None if they are not what it committed to.

    Args:
        setup: The dealer's.
        key: PRK of the pair.
    """
    dealer = setup.member
    place = setup.ctx + u16(dealer) + u16(me)
    plain = _decrypt(share_key(key, setup.ctx, dealer, me), setup.encrypted[me], place)
    if plain is None:
        return None
    pair = SharePair.decode(plain)
    fits = setup.accepts("b", me, pair.b) and setup.accepts("r", me, pair.r)
    return pair if fits else None


def open_blob(setup: Setup, seed: bytes) -> dict[int, bytes] | None:
    """All r_ij of a member that dropped out, by j; None if the blob is not under this seed."""
    ctx, member = setup.ctx, setup.member
    plain = _decrypt(blob_key(seed, ctx, member), setup.blob, ctx + u16(member))
    if plain is None:
        return None
    take = _Reader(plain)
    return {j: take(SEED_BYTES) for j in range(len(setup.tags)) if j != member}


def _deal(b: bytes, r: bytes, cohort: Cohort, entropy: Entropy) -> list[SharePair]:
    shares = (split(seed, cohort.size, cohort.threshold, entropy) for seed in (b, r))
    return [
        SharePair(Share(entropy(SALT_BYTES), of_b), Share(entropy(SALT_BYTES), of_r))
        for of_b, of_r in zip(*shares, strict=True)
    ]


def _at(j: int, me: int, length: int) -> bytes:
    """Zeros for my own place, nothing for the others'."""
    return bytes(length) if j == me else b""


def _encrypt(key: bytes, plain: bytes, data: bytes, entropy: Entropy) -> bytes:
    nonce = entropy(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, data)


def _decrypt(key: bytes, sealed: bytes, data: bytes) -> bytes | None:
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], data)
    except InvalidTag:
        return None


class _Reader:
    """Reads fields of known length, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __call__(self, count: int) -> bytes:
        self._at += count
        return exactly(self._data[self._at - count : self._at], count, where="field")

    def rest(self) -> bytes:
        return self._data[self._at :]

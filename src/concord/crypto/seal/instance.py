"""What one sealed sum is bound to: its instance, and the secrets derived for it.

    ctx    = SHA-256(label(seal/ctx) || run[32] || u64 round || u32 fragment || u32 attempt
                     || roster[32] || model[32] || config[32] || cohort[32])
    r_ij   = Expand(PRK_ij, label(seal/round) || ctx || u16 min || u16 max)
    tag_ij = Expand(r_ij, label(seal/confirm), 16)           both sides publish it; must be equal
    H_W    = SHA-256(label(seal/set) || ctx || u16 |W| || u16 indices ascending)
    k_ij   = Expand(r_ij, label(seal/mask) || H_W)           key of a pair's mask
    kb_i   = Expand(b_i, label(seal/self) || ctx || u16 i || H_W)     key of the member's own mask
    e_i>j  = Expand(PRK_ij, label(seal/share) || ctx || u16 i || u16 j)     encrypts i's share to j

A member that was shown another model, roster or configuration has another ctx, hence other tags,
which is seen before any data flows. e_i>j comes from PRK, never from r_ij, which becomes public
when i or j drops out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from concord.base.errors import SealRefused
from concord.crypto.seal.labels import (
    HASH_BYTES,
    exactly,
    expand,
    labelled_hash,
    u16,
    u32,
    u64,
)

MAX_ATTEMPT = 1
TAG_BYTES = 16
_DIGESTS = ("run", "roster", "model", "config", "cohort")


@dataclass(frozen=True)
class Instance:
    """One sealed sum, never to be repeated.

    Args:
        run, roster, config: SHA-256 of the RFC 8785 document, 32 bytes each.
        round, fragment, attempt: Its place in the run; `attempt` is 0 or 1.
        model: SHA-256 that names the base that members start from.
        cohort: `Cohort.digest`.

    Raises:
        SealRefused: a digest of another length, a number out of range.
    """

    run: bytes
    round: int
    fragment: int
    attempt: int
    roster: bytes
    model: bytes
    config: bytes
    cohort: bytes

    def __post_init__(self) -> None:
        for name in _DIGESTS:
            exactly(getattr(self, name), HASH_BYTES, where=f"instance.{name}")
        u64(self.round), u32(self.fragment)
        if not 0 <= self.attempt <= MAX_ATTEMPT:
            message = f"{self.attempt} is not 0 or 1: a round is tried again once at most"
            raise SealRefused(message, where="instance.attempt")

    @property
    def position(self) -> tuple[int, int, int]:
        """(round, fragment, attempt), which only grows at a member."""
        return self.round, self.fragment, self.attempt

    @cached_property
    def ctx(self) -> bytes:
        place = (u64(self.round), u32(self.fragment), u32(self.attempt))
        documents = (self.roster, self.model, self.config, self.cohort)
        return labelled_hash("seal/ctx", self.run, *place, *documents)


@dataclass(frozen=True)
class IndexSet:
    """Members of a cohort by index: a masking set W or a survivor set U.

    Raises:
        SealRefused: empty, not strictly ascending, or an index that is no u16.
    """

    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.indices or not all(low < high for low, high in pairwise(self.indices)):
            raise SealRefused("is not a strictly ascending list of members", where="set")
        u16(self.indices[0]), u16(self.indices[-1])

    @classmethod
    def of(cls, indices: Iterable[int]) -> IndexSet:
        """The set of `indices`, in whatever order they come."""
        return cls(tuple(sorted(indices)))

    def __contains__(self, index: object) -> bool:
        return index in self.indices

    def __len__(self) -> int:
        return len(self.indices)

    def digest(self, ctx: bytes) -> bytes:
        """H_W: the set, under its instance."""
        return labelled_hash(
            "seal/set", ctx, u16(len(self.indices)), *(u16(index) for index in self.indices)
        )


def round_secret(prk: bytes, ctx: bytes, i: int, j: int) -> bytes:
    """r_ij, the same for both; it becomes public if one of them drops out."""
    return expand(prk, "seal/round", ctx, u16(min(i, j)), u16(max(i, j)))


def confirmation_tag(secret: bytes) -> bytes:
    """tag_ij of 16 bytes: shows that both sides derived the same r_ij."""
    return expand(secret, "seal/confirm", length=TAG_BYTES)


def pair_mask_key(secret: bytes, set_digest: bytes) -> bytes:
    """k_ij, from r_ij and H_W."""
    return expand(secret, "seal/mask", set_digest)


def self_mask_key(seed: bytes, ctx: bytes, i: int, set_digest: bytes) -> bytes:
    """kb_i, from b_i and H_W."""
    return expand(seed, "seal/self", ctx, u16(i), set_digest)


def share_key(prk: bytes, ctx: bytes, i: int, j: int) -> bytes:
    """e_i>j: encrypts what i deals to j."""
    return expand(prk, "seal/share", ctx, u16(i), u16(j))


def blob_key(seed: bytes, ctx: bytes, i: int) -> bytes:
    """Key of blob_i, from rho_i."""
    return expand(seed, "seal/blob", ctx, u16(i))

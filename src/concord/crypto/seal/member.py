"""A member's side of one instance, as functions of what it knows; `Unmask` is what it answers.

    y_i = q_i + PRG(kb_i) + sum_{j in W, j > i} PRG(k_ij) - sum_{j in W, j < i} PRG(k_ij)   mod 2^k

Nothing here remembers: that an instance, a masking set, a vector and a survivor set come once is
kept by the member's store (`federation.sealed`), which must be asked first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from concord.base.errors import SealRefused, SealVoid
from concord.crypto.merkle import leaf_hash, root_of_leaves
from concord.crypto.seal.cohorts import Cohort
from concord.crypto.seal.instance import (
    IndexSet,
    Instance,
    pair_mask_key,
    round_secret,
    self_mask_key,
)
from concord.crypto.seal.labels import HASH_BYTES, exactly, labelled_hash, u16
from concord.crypto.seal.masks import apply_masks
from concord.crypto.seal.ring import CHECK_ELEMENTS, Ring, RingArray, SignedArray
from concord.crypto.seal.setup import (
    SALT_BYTES,
    Kind,
    OwnSetup,
    Setup,
    Share,
    SharePair,
    check_keys,
    open_share_pair,
)
from concord.crypto.seal.shamir import SHARE_BYTES

ROOT_CHUNK_BYTES = 1 << 20
_ENTRY_BYTES = 2 + 1 + SALT_BYTES + SHARE_BYTES
_KINDS: tuple[Kind, Kind] = ("b", "r")


@dataclass(frozen=True)
class MaskKeys:
    """Keys of the masks that a vector carries."""

    add: tuple[bytes, ...]
    subtract: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"MaskKeys({len(self.add)} added, {len(self.subtract)} subtracted)"


@dataclass(frozen=True)
class Revealed:
    """A share that a survivor lays open: of `dealer`'s seed b or rho."""

    dealer: int
    kind: Kind
    share: Share


@dataclass(frozen=True)
class Unmask:
    """A survivor's answer, bound to one instance and one survivor set. Public.

    Raises:
        SealRefused: dealers are not in ascending order, or one comes twice: nobody reveals shares
            of both seeds of one member.
    """

    ctx: bytes
    survivors: bytes
    """`IndexSet.digest` of U."""
    member: int
    revealed: tuple[Revealed, ...]

    def __post_init__(self) -> None:
        dealers = [one.dealer for one in self.revealed]
        if any(low >= high for low, high in pairwise(dealers)):
            where = f"unmask of member {self.member}"
            raise SealRefused("dealers are not in ascending order", where=where)

    def encode(self) -> bytes:
        """ctx || H_U || u16 member || u16 count || (u16 dealer || u8 kind || nonce32 || share)."""
        entries = (
            u16(one.dealer) + bytes([_KINDS.index(one.kind)]) + one.share.salt + one.share.share
            for one in self.revealed
        )
        head = self.ctx + self.survivors + u16(self.member) + u16(len(self.revealed))
        return head + b"".join(entries)

    @classmethod
    def decode(cls, data: bytes) -> Unmask:
        """Read what `encode` writes.

        Raises:
            SealRefused: another length, an unknown kind, or as the class.
        """
        head = 2 * HASH_BYTES + 4
        if len(data) < head or (len(data) - head) % _ENTRY_BYTES:
            raise SealRefused(f"{len(data)} bytes are no unmask message", where="unmask")
        count = int.from_bytes(data[head - 2 : head], "big")
        exactly(data, head + count * _ENTRY_BYTES, where="unmask")
        entries = (data[at : at + _ENTRY_BYTES] for at in range(head, len(data), _ENTRY_BYTES))
        member = int.from_bytes(data[head - 4 : head - 2], "big")
        revealed = tuple(_entry(entry) for entry in entries)
        return cls(data[:HASH_BYTES], data[HASH_BYTES : 2 * HASH_BYTES], member, revealed)


def check_setups(instance: Instance, cohort: Cohort, setups: Mapping[int, Setup]) -> None:
    """Compare what members derived, before any data flows. Anyone can.

    Raises:
        SealVoid: a set-up under another instance, or tags of a pair that differ: one of the two
            was shown another model, roster or configuration, or holds another key. Names them.
    """
    strangers = [i for i, setup in sorted(setups.items()) if setup.ctx != instance.ctx]
    if strangers:
        message = "was set up for another model, roster or configuration"
        where = f"member {strangers[0]} ({cohort.members[strangers[0]]})"
        raise SealVoid(message, where=where, culprits=tuple(strangers))
    if pairs := differing_tags(setups):
        i, j = pairs[0]
        message = f"members {i} and {j} do not share a key: one derived from other facts"
        culprits = tuple(sorted({index for pair in pairs for index in pair}))
        raise SealVoid(message, where="set-up tags", culprits=culprits)


def differing_tags(setups: Mapping[int, Setup]) -> list[tuple[int, int]]:
    """Pairs whose two tags are not equal, in order."""
    indices = sorted(setups)
    return [
        (i, j) for i in indices for j in indices if i < j and setups[i].tags[j] != setups[j].tags[i]
    ]


def masking_set(cohort: Cohort, members: Iterable[int]) -> IndexSet:
    """A set of members of the cohort that is large enough to be masked together.

    Raises:
        SealRefused: it is too small, or names somebody else.
    """
    found = IndexSet.of(members)
    if found.indices[-1] >= cohort.size:
        raise SealRefused("names a member outside the cohort", where="set")
    if len(found) < cohort.least:
        message = f"{len(found)} members are too few: {cohort.least} are needed"
        raise SealRefused(message, where="set", remedy="leave the instance void")
    return found


def survivor_set(cohort: Cohort, masked: IndexSet, members: Iterable[int]) -> IndexSet:
    """A subset of the masking set that is large enough to be unmasked.

    Raises:
        SealRefused: it is too small, or names somebody that did not mask.
    """
    found = masking_set(cohort, members)
    if strangers := [index for index in found.indices if index not in masked]:
        raise SealRefused(f"member {strangers[0]} is not in the masking set", where="survivor set")
    return found


def receive_shares(
    own: OwnSetup, keys: Mapping[int, bytes], setups: Mapping[int, Setup]
) -> dict[int, SharePair]:
    """My shares of everybody's seeds, my own included, checked against the dealers' commitments.

    Raises:
        SealVoid: a dealer's share is not what it committed to. Names dealer and receiver, since
            either may lie.
    """
    me = own.public.member
    held = {me: own.own_shares}
    for dealer, setup in sorted(setups.items()):
        if dealer == me:
            continue
        pair = open_share_pair(setup, me, keys[dealer])
        if pair is None:
            message = f"member {dealer} dealt member {me} a share other than it committed to"
            raise SealVoid(message, where="set-up", culprits=tuple(sorted((dealer, me))))
        held[dealer] = pair
    return held


def mask_keys(
    instance: Instance, cohort: Cohort, own: OwnSetup, keys: Mapping[int, bytes], masked: IndexSet
) -> MaskKeys:
    """Keys of the masks of my vector.

    Raises:
        SealRefused: I am not in the masking set, the set is too small, or my set-up is of another
            instance.
    """
    me = own.public.member
    check_keys(instance, cohort, me, keys)
    masking_set(cohort, masked.indices)
    if me not in masked or own.public.ctx != instance.ctx:
        raise SealRefused("I am not in it, or was set up for another instance", where="masking set")
    digest = masked.digest(instance.ctx)
    pairs = {
        j: pair_mask_key(round_secret(keys[j], instance.ctx, me, j), digest)
        for j in masked.indices
        if j != me
    }
    own_key = self_mask_key(own.b, instance.ctx, me, digest)
    return MaskKeys(
        (own_key, *(key for j, key in pairs.items() if j > me)),
        tuple(key for j, key in pairs.items() if j < me),
    )


def mask(values: SignedArray, ring: Ring, keys: MaskKeys) -> RingArray:
    """Turn a vector of values into its masked vector, in place.

    Args:
        values: Flat, |value| <= `ring.largest`, ending in 64 zeros; overwritten.

    Returns:
        The same memory, as elements of the ring.

    Raises:
        SealRefused: values of another type, out of bounds, or check elements that are not 0.
    """
    check_values(values, ring)
    vector = cast(RingArray, values.view(ring.unsigned))
    apply_masks(vector, keys.add, keys.subtract)
    return vector


def check_values(values: SignedArray, ring: Ring, *, members: int = 1) -> None:
    """Refuse values that could wrap the ring when added.

    Args:
        members: How many members' values were added up.

    Raises:
        SealRefused: another type or shape, a value beyond `members` times the largest, or check
            elements that are not 0.
    """
    if values.dtype != ring.signed or values.ndim != 1 or values.size < CHECK_ELEMENTS:
        raise SealRefused("is not a flat vector of the ring's type", where="values")
    if values[-CHECK_ELEMENTS:].any():
        raise SealRefused("the check elements at its end are not 0", where="values")
    bound = members * ring.largest
    if int(values.max()) > bound or int(values.min()) < -bound:
        raise SealRefused(f"holds a value beyond +-{bound}", where="values")


def unmask(
    instance: Instance,
    me: int,
    held: Mapping[int, SharePair],
    masked: IndexSet,
    survivors: IndexSet,
) -> Unmask:
    """My answer to a survivor set: a share of b of each survivor, of rho of each that dropped out.

    Raises:
        SealRefused: I am no survivor, a survivor did not mask, or a share is missing.
    """
    if me not in survivors or not set(survivors.indices) <= set(masked.indices):
        message = "does not hold me, or holds somebody who did not mask"
        raise SealRefused(message, where="survivor set")
    if missing := [dealer for dealer in masked.indices if dealer not in held]:
        raise SealRefused(f"there is no share of member {missing[0]}", where="shares")
    revealed = (
        Revealed(dealer, kind, held[dealer].of(kind))
        for dealer in masked.indices
        for kind in (_KINDS[dealer not in survivors],)
    )
    return Unmask(instance.ctx, survivors.digest(instance.ctx), me, tuple(revealed))


def chunk_root(data: bytes | memoryview) -> bytes:
    """RFC 6962 root over chunks of 1 MiB; the last may be shorter."""
    view = memoryview(data)
    chunks = (view[at : at + ROOT_CHUNK_BYTES] for at in range(0, len(view), ROOT_CHUNK_BYTES))
    return root_of_leaves(leaf_hash(bytes(chunk)) for chunk in chunks)


def value_commitment(instance: Instance, member: int, salt: bytes, value_root: bytes) -> bytes:
    """Hiding commitment to a member's values, opened in a dispute only."""
    exactly(salt, SALT_BYTES, where="commitment nonce")
    exactly(value_root, HASH_BYTES, where="root of the values")
    return labelled_hash("seal/q", instance.ctx, u16(member), salt, value_root)


def _entry(data: bytes) -> Revealed:
    dealer, kind = int.from_bytes(data[:2], "big"), data[2]
    if kind >= len(_KINDS):
        raise SealRefused(f"there is no seed of kind {kind}", where="unmask")
    salt, share = data[3 : 3 + SALT_BYTES], data[3 + SALT_BYTES :]
    return Revealed(dealer, _KINDS[kind], Share(salt, share))

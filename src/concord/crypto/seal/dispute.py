"""Who spoiled a sum: one instance of one member, opened to a panel that checks it alone.

When a sum is void or harms the model, members of the cohort open that one instance: their values,
the nonce of their hiding commitment, their self seed and their pair secrets of this instance. The
panel masks the values again and compares. The panel learns the values, so it counts as a colluder
for this instance: never open n - 1 members of one instance to the same people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from concord.base.errors import SealRefused
from concord.crypto.seal.cohorts import Cohort
from concord.crypto.seal.instance import (
    IndexSet,
    Instance,
    confirmation_tag,
    pair_mask_key,
    round_secret,
    self_mask_key,
)
from concord.crypto.seal.masks import apply_masks
from concord.crypto.seal.member import check_values, chunk_root, value_commitment
from concord.crypto.seal.ring import Ring, SignedArray
from concord.crypto.seal.setup import OwnSetup, Setup, seed_commitment


@dataclass(frozen=True)
class Committed:
    """What the log holds of a member's vector: a hash of its masked file, and a commitment.

    Args:
        file_hash: `hash_of` the whole masked file.
        hidden: `value_commitment`.
        header: Bytes of the file before its elements.
        hash_of: How the log names files.
    """

    file_hash: bytes
    hidden: bytes
    header: bytes = b""
    hash_of: Callable[[bytes], bytes] = chunk_root


@dataclass(frozen=True)
class Disclosure:
    """What a member shows to the panel, for one instance."""

    member: int
    salt: bytes
    values: SignedArray = field(repr=False)
    seed: bytes = field(repr=False)
    secrets: Mapping[int, bytes] = field(repr=False)


def disclose(
    own: OwnSetup,
    keys: Mapping[int, bytes],
    masked: IndexSet,
    *,
    values: SignedArray,
    salt: bytes,
) -> Disclosure:
    """A member's opening of one instance; it tells nothing of any other."""
    me, ctx = own.public.member, own.public.ctx
    secrets = {j: round_secret(keys[j], ctx, me, j) for j in masked.indices if j != me}
    return Disclosure(me, salt, values, own.b, secrets)


def judge(
    instance: Instance,
    cohort: Cohort,
    setups: Mapping[int, Setup],
    masked: IndexSet,
    shown: Disclosure,
    committed: Committed,
    ring: Ring,
) -> tuple[str, ...]:
    """What is wrong with a member's vector, in words; empty if it did what it had to.

    Args:
        setups: Of all members of the masking set.

    Raises:
        SealRefused: the member is not in the masking set, or that is of another cohort.
    """
    me = shown.member
    if instance.cohort != cohort.digest or me not in masked:
        raise SealRefused("is not in this masking set", where=f"member {me}")
    found = []
    if seed_commitment("b", instance.ctx, me, shown.seed) != setups[me].b_commitment:
        found.append("the self seed is not the one committed to")
    found += [
        f"the secret shared with member {j} is not the one that was confirmed"
        for j in masked.indices
        if j != me and not _agreed(setups, shown, j)
    ]
    root = chunk_root(shown.values.astype(ring.signed.newbyteorder("<")).tobytes())
    if value_commitment(instance, me, shown.salt, root) != committed.hidden:
        found.append("the values are not those committed to")
    try:
        check_values(shown.values, ring)
    except SealRefused as error:
        found.append(f"the vector of values {error.message}")
    if not found and _file_hash(instance, masked, shown, committed) != committed.file_hash:
        found.append("the masked vector is not made from the values")
    return tuple(found)


def _agreed(setups: Mapping[int, Setup], shown: Disclosure, j: int) -> bool:
    if j not in shown.secrets:
        return False
    tag = confirmation_tag(shown.secrets[j])
    return tag == setups[shown.member].tags[j] == setups[j].tags[shown.member]


def _file_hash(
    instance: Instance, masked: IndexSet, shown: Disclosure, committed: Committed
) -> bytes:
    digest, me = masked.digest(instance.ctx), shown.member
    pairs = {j: pair_mask_key(shown.secrets[j], digest) for j in masked.indices if j != me}
    add = [self_mask_key(shown.seed, instance.ctx, me, digest)]
    add += [key for j, key in pairs.items() if j > me]
    vector = shown.values.astype(f"<u{shown.values.itemsize}")
    apply_masks(vector, add, [key for j, key in pairs.items() if j < me])
    return committed.hash_of(committed.header + vector.tobytes())

"""Who is masked with whom: cohorts drawn from beacons that nobody could know beforehand.

    commitment = SHA-256(label(beacon/commit) || u16 length of id || id || beacon[32])
    seed       = SHA-256(label(beacon) || root of the last checkpoint under quorum || beacons),
                 beacons in byte order of ids
    order      = Fisher-Yates from the top, over the ids in byte order; numbers below m are u32
                 (big-endian) of the AES-256-CTR stream of the seed, rejected from
                 floor(2^32 / m) m on, else taken mod m; draw c starts at counter c 2^64
    cohorts    = floor(N / target) runs of that order, the first N mod that number one longer
    digest     = SHA-256(label(seal/cohort) || u16 n || (u16 length || id) of each, in byte order)

A draw in which a cohort holds two members of one controlling entity is drawn again. Cohorts stay
fixed for an epoch: sums over ever new groups could be solved for one member's share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

from concord.base.errors import SealRefused
from concord.crypto.seal.labels import HASH_BYTES, exactly, labelled_hash, u16
from concord.crypto.seal.masks import Keystream
from concord.crypto.seal.ring import MAX_MEMBERS, MIN_MEMBERS

BEACON_BYTES = 32
DEFAULT_MIN_SURVIVORS = 5
MAX_DRAWS = 10_000


def threshold_of(members: int) -> int:
    """t = floor(2n/3) + 1: answers that an unmasking needs.

    Two different unmaskings of one instance would need 2t <= n + c answers, which c <= n/3
    colluding members cannot give.
    """
    return 2 * members // 3 + 1


@dataclass(frozen=True)
class Cohort:
    """Members that are masked together; a member's index is its place in byte order of ids.

    Args:
        members: Ids, in byte order.
        min_survivors: Least number of members in a sum; the charter's, 5 where it says nothing.

    Raises:
        SealRefused: ids out of order or twice, fewer than 3 or more than 200 members, a minimum
            below 3, or more than there are members.
    """

    members: tuple[str, ...]
    min_survivors: int = DEFAULT_MIN_SURVIVORS

    def __post_init__(self) -> None:
        ids = [member.encode() for member in self.members]
        if not all(low < high for low, high in pairwise(ids)):
            raise SealRefused("ids are not in byte order, or one comes twice", where="cohort")
        if not MIN_MEMBERS <= self.size <= MAX_MEMBERS:
            message = f"{self.size} members, not {MIN_MEMBERS} to {MAX_MEMBERS}"
            raise SealRefused(message, where="cohort")
        if not MIN_MEMBERS <= self.min_survivors <= self.size:
            message = f"{self.size} members cannot have {self.min_survivors} survivors or more"
            remedy = "name a lower minimum in the charter: it protects less, and never below 3"
            raise SealRefused(message, where="cohort.min_survivors", remedy=remedy)

    @property
    def size(self) -> int:
        return len(self.members)

    @property
    def threshold(self) -> int:
        """t."""
        return threshold_of(self.size)

    @property
    def least(self) -> int:
        """Members that a masking set and a survivor set must have."""
        return max(self.threshold, self.min_survivors)

    @cached_property
    def digest(self) -> bytes:
        ids = [member.encode() for member in self.members]
        return labelled_hash("seal/cohort", u16(len(ids)), *(u16(len(one)) + one for one in ids))

    def index(self, member: str) -> int:
        """Index of a member.

        Raises:
            SealRefused: it is not in the cohort.
        """
        try:
            return self.members.index(member)
        except ValueError as error:
            raise SealRefused("is not in the cohort", where=member) from error


def beacon_commitment(member: str, beacon: bytes) -> bytes:
    """What a member publishes before it reveals its beacon; nobody else can use it."""
    name = member.encode()
    exactly(beacon, BEACON_BYTES, where="beacon")
    return labelled_hash("beacon/commit", u16(len(name)), name, beacon)


def draw_seed(
    checkpoint_root: bytes, commitments: Mapping[str, bytes], beacons: Mapping[str, bytes]
) -> bytes:
    """The seed of the draw, from the beacons that were revealed.

    Args:
        checkpoint_root: Root of the last checkpoint under quorum.
        commitments: Of every member of the roster.
        beacons: Of those that revealed; the others are out for the epoch.

    Raises:
        SealRefused: a beacon that does not match its commitment, or of nobody.
    """
    exactly(checkpoint_root, HASH_BYTES, where="checkpoint root")
    for member, beacon in beacons.items():
        if beacon_commitment(member, beacon) != commitments.get(member):
            message = "the revealed beacon is not the one it committed to"
            raise SealRefused(message, where=member, remedy="it stays out for this epoch")
    in_order = [beacons[member] for member in sorted(beacons, key=str.encode)]
    return labelled_hash("beacon", checkpoint_root, *in_order)


def draw_cohorts(
    seed: bytes, entities: Mapping[str, str], *, target: int, min_survivors: int
) -> tuple[Cohort, ...]:
    """Divide the members into cohorts.

    Args:
        seed: `draw_seed`.
        entities: Controlling entity of each member that takes part.
        target: Members that a cohort should have.
        min_survivors: As in `Cohort`.

    Returns:
        Cohorts in the order drawn.

    Raises:
        SealRefused: too few members, or an entity has more members than there are cohorts.
    """
    order = sorted(entities, key=str.encode)
    groups = max(1, len(order) // max(target, 1))
    held = list(entities.values())
    if crowded := sorted({entity for entity in held if held.count(entity) > groups}):
        message = f"controls more members than there are cohorts ({groups})"
        raise SealRefused(message, where=crowded[0], remedy="one of them stays out")
    for draw in range(MAX_DRAWS):
        cut = _cut(_shuffled(order, Keystream(seed, block=draw << 64)), groups)
        if all(len({entities[one] for one in cohort}) == len(cohort) for cohort in cut):
            return tuple(
                Cohort(tuple(sorted(cohort, key=str.encode)), min_survivors) for cohort in cut
            )
    message = f"none of {MAX_DRAWS:,} draws keeps members of one entity apart"
    raise SealRefused(message, where="cohorts", remedy="make fewer, larger cohorts")


def _shuffled(members: Sequence[str], stream: Keystream) -> list[str]:
    found = list(members)
    for top in range(len(found) - 1, 0, -1):
        other = below(top + 1, stream)
        found[top], found[other] = found[other], found[top]
    return found


class Bytes(Protocol):
    """Where numbers are drawn from; a `Keystream`."""

    def read(self, count: int) -> bytes:
        """The next `count` bytes."""


def below(bound: int, stream: Bytes) -> int:
    """A number below `bound`, each as likely as the others."""
    limit = (1 << 32) // bound * bound
    while True:
        value = int.from_bytes(stream.read(4), "big")
        if value < limit:
            return value % bound


def _cut(members: Sequence[str], groups: int) -> list[list[str]]:
    least, longer = divmod(len(members), groups)
    found, start = [], 0
    for group in range(groups):
        end = start + least + (group < longer)
        found.append(list(members[start:end]))
        start = end
    return found

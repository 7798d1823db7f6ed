"""The sum of an instance, from what is public: set-ups, sets, answers and masked vectors.

A coordinator, a member or a stranger who verifies gets the same sum, or the same fault. No step
here needs a secret, a clock or torch.

    sum = sum_{j in U} y_j - sum_{j in U} PRG(kb_j)
          - sum_{d in W\\U, j in U} (PRG(k_dj) if d > j else -PRG(k_dj))      mod 2^k, as signed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from concord.base.errors import SealRefused, SealVoid
from concord.crypto.seal.cohorts import Cohort
from concord.crypto.seal.instance import (
    IndexSet,
    Instance,
    confirmation_tag,
    pair_mask_key,
    self_mask_key,
)
from concord.crypto.seal.masks import MaskStreams, chunks_of
from concord.crypto.seal.member import (
    MaskKeys,
    Unmask,
    check_setups,
    masking_set,
    survivor_set,
)
from concord.crypto.seal.ring import CHECK_ELEMENTS, Ring, RingArray, SignedArray
from concord.crypto.seal.setup import Kind, Setup, Share, open_blob, seed_commitment
from concord.crypto.seal.shamir import combine


@dataclass(frozen=True)
class Fault:
    """Something a member sent that does not hold; the sum may be had without it."""

    member: int
    reason: str


@dataclass(frozen=True)
class Opening:
    """What unmasks the sum of one instance.

    Args:
        seeds: b_i of each survivor.
        secrets: r_dj of each member that dropped out, by d and j in U.
        faults: Answers that were left aside, and why.
        keys: Keys of the masks that are still in the sum of the survivors' vectors.
    """

    instance: Instance
    survivors: IndexSet
    seeds: Mapping[int, bytes]
    secrets: Mapping[int, Mapping[int, bytes]]
    faults: tuple[Fault, ...]
    keys: MaskKeys = field(repr=False)

    def sum(self, vectors: Mapping[int, RingArray], ring: Ring) -> SignedArray:
        """The sum of the survivors' values, exactly; check elements left out.

        Args:
            vectors: Masked vector of each survivor, flat and of one length; may be maps of files.
            ring: That of the configuration.

        Raises:
            SealRefused: not one vector of each survivor, of the ring's type and of one length.
            SealVoid: check elements are not 0, or a value is beyond what the survivors could make:
                somebody masked other values than allowed, or sent another vector than the masked
                one. Which of them is found by `concord.crypto.seal.dispute`.
        """
        ordered = _fitting(vectors, self.survivors, ring)
        values = np.empty(ordered[0].shape, ring.signed)
        total = values.view(ring.unsigned)
        streams, extreme = MaskStreams(self.keys.add, self.keys.subtract), 0
        for place in chunks_of(total.size, total.itemsize):
            chunk = total[place]
            np.copyto(chunk, ordered[0][place])
            for vector in ordered[1:]:
                np.add(chunk, vector[place], out=chunk)
            streams.apply(chunk)
            extreme = max(extreme, int(values[place].max()), -int(values[place].min()))
        if extreme > len(self.survivors) * ring.largest:
            raise _spoiled("a value is beyond what the survivors could make")
        if values[-CHECK_ELEMENTS:].any():
            raise _spoiled("its check elements are not 0")
        return values[:-CHECK_ELEMENTS]


def open_instance(
    instance: Instance,
    cohort: Cohort,
    setups: Mapping[int, Setup],
    masked: IndexSet,
    survivors: IndexSet,
    answers: Sequence[Unmask],
) -> Opening:
    """Recover the seeds that unmask the sum.

    1. Both sets are large enough, and the tags of the masking set agree.
    2. Answers that are no survivor's, or of another instance or survivor set, or a member's second,
       are left aside: nobody can keep a sum shut by answering something else.
    3. Shares are held against their dealers' commitments; a wrong one names its sender.
    4. Of each seed the first t good shares, by sender, are combined, and the seed held against
       its commitment.
    5. The blobs of those who dropped out open, and hold secrets that match both tags.

    Args:
        setups: Of all members of the masking set at least; others are not looked at.
        answers: In the order of the log; of two by one member the first counts.

    Raises:
        SealRefused: a set is too small or names somebody else, or a set-up is missing.
        SealVoid: tags differ, or a seed or a blob cannot be had; names those at fault, if known.
    """
    masking_set(cohort, masked.indices)
    survivor_set(cohort, masked, survivors.indices)
    known = {i: setups[i] for i in masked.indices if i in setups}
    if len(known) != len(masked):
        raise SealRefused("a set-up of the masking set is missing", where="set-ups")
    check_setups(instance, cohort, known)
    good, faults = _sorted_out(instance, survivors, answers)
    shares = _Shares(cohort, known, survivors, good)
    seeds = {i: shares.seed(i, "b") for i in survivors.indices}
    dropped = [d for d in masked.indices if d not in survivors]
    secrets = {d: _secrets(known, d, shares.seed(d, "r"), survivors) for d in dropped}
    keys = _keys(instance, masked, seeds, secrets)
    return Opening(instance, survivors, seeds, secrets, (*faults, *shares.faults), keys)


def _sorted_out(
    instance: Instance, survivors: IndexSet, answers: Sequence[Unmask]
) -> tuple[list[Unmask], list[Fault]]:
    """Answers to this survivor set, by member, and what is wrong with the others."""
    expected = survivors.digest(instance.ctx)
    good: dict[int, Unmask] = {}
    faults = []
    for answer in answers:
        if answer.ctx != instance.ctx or answer.survivors != expected:
            faults.append(Fault(answer.member, "answered another instance or survivor set"))
        elif answer.member not in survivors:
            faults.append(Fault(answer.member, "answered, and is no survivor"))
        elif answer.member in good:
            faults.append(Fault(answer.member, "answered twice"))
        else:
            good[answer.member] = answer
    return [good[member] for member in sorted(good)], faults


class _Shares:
    """Shares that were laid open and match their commitments."""

    def __init__(
        self,
        cohort: Cohort,
        setups: Mapping[int, Setup],
        survivors: IndexSet,
        answers: Sequence[Unmask],
    ) -> None:
        self._threshold, self._setups = cohort.threshold, setups
        self._good: dict[tuple[int, Kind], dict[int, Share]] = {}
        self.faults: list[Fault] = []
        for answer in answers:
            for one in answer.revealed:
                wanted: Kind = "b" if one.dealer in survivors else "r"
                setup = setups.get(one.dealer)
                if setup is None or one.kind != wanted:
                    reason = f"revealed a share of member {one.dealer} that nobody asked for"
                    self.faults.append(Fault(answer.member, reason))
                elif not setup.accepts(one.kind, answer.member, one.share):
                    reason = f"revealed a wrong share of member {one.dealer}"
                    self.faults.append(Fault(answer.member, reason))
                else:
                    held = self._good.setdefault((one.dealer, one.kind), {})
                    held[answer.member] = one.share

    def seed(self, dealer: int, kind: Kind) -> bytes:
        """The seed of a dealer, held against its commitment."""
        good = self._good.get((dealer, kind), {})
        chosen = dict(list(good.items())[: self._threshold])
        if len(chosen) < self._threshold:
            message = f"{len(chosen)} good shares of member {dealer}, {self._threshold} are needed"
            culprits = tuple(sorted({fault.member for fault in self.faults}))
            raise SealVoid(message, where="unmasking", culprits=culprits)
        setup = self._setups[dealer]
        try:
            seed = combine({holder: share.share for holder, share in chosen.items()})
        except SealRefused as error:
            raise _misdealt(dealer) from error
        if seed_commitment(kind, setup.ctx, dealer, seed) != setup.commitment(kind):
            raise _misdealt(dealer)
        return seed


def _misdealt(dealer: int) -> SealVoid:
    message = f"member {dealer} dealt shares that do not make the seed it committed to"
    return SealVoid(message, where="unmasking", culprits=(dealer,))


def _secrets(
    setups: Mapping[int, Setup], dropped: int, seed: bytes, survivors: IndexSet
) -> dict[int, bytes]:
    found = open_blob(setups[dropped], seed)
    if found is None:
        message = f"the blob of member {dropped} does not open"
        raise SealVoid(message, where="unmasking", culprits=(dropped,))
    for j in survivors.indices:
        tag = confirmation_tag(found[j])
        if tag != setups[dropped].tags[j] or tag != setups[j].tags[dropped]:
            message = f"the blob of member {dropped} holds another secret for member {j}"
            raise SealVoid(message, where="unmasking", culprits=(dropped,))
    return {j: found[j] for j in survivors.indices}


def _keys(
    instance: Instance,
    masked: IndexSet,
    seeds: Mapping[int, bytes],
    secrets: Mapping[int, Mapping[int, bytes]],
) -> MaskKeys:
    """What takes out what is left: the opposite signs of what members put in."""
    digest = masked.digest(instance.ctx)
    subtract = [self_mask_key(seed, instance.ctx, i, digest) for i, seed in seeds.items()]
    add: list[bytes] = []
    for dropped, by_survivor in secrets.items():
        for j, secret in by_survivor.items():
            (subtract if dropped > j else add).append(pair_mask_key(secret, digest))
    return MaskKeys(tuple(add), tuple(subtract))


def _spoiled(reason: str) -> SealVoid:
    remedy = "open this instance to a panel, which finds the member"
    return SealVoid(f"the sum cannot be right: {reason}", where="sealed sum", remedy=remedy)


def _fitting(vectors: Mapping[int, RingArray], survivors: IndexSet, ring: Ring) -> list[RingArray]:
    """The vectors in the order of the survivors, which they have to be those of."""
    if set(vectors) != set(survivors.indices):
        raise SealRefused("are not those of the survivor set", where="masked vectors")
    ordered = [vectors[i] for i in survivors.indices]
    fits = (one.dtype == ring.unsigned and one.shape == ordered[0].shape for one in ordered)
    if not all(fits) or ordered[0].ndim != 1 or ordered[0].size < CHECK_ELEMENTS:
        raise SealRefused("are not flat, of the ring's type and of one length", where="vectors")
    return ordered

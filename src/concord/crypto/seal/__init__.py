"""Sealed mode: sums of vectors of which nobody sees one. Bytes in, bytes out; no torch.

EXPERIMENTAL until a cryptographer has reviewed it; docs/sealed.md tells the protocol. Members of a
cohort are named by index: place in byte order of ids. What is public has `encode` and `decode`.

    epoch, once for many rounds
      member    EpochPrivateKey.generate(); EpochKey(private.public, beacon_commitment(id, beacon))
      all       draw_seed(root, commitments, beacons)
                draw_cohorts(seed, entities, target=, min_survivors=) -> (Cohort, ...)
      member    seal_pair_secrets(run, epoch_keys, me, entropy) -> (mine, sealed)
                encode_sealed(sealed, n, me); decode_sealed(data, n, of)
                open_pair_secret(run, epoch_keys, private, me=, of=, data=)
                pair_keys(me, mine, theirs) -> {j: PRK}

    instance
      all       Instance(run, round, fragment, attempt, roster, model, config, cohort.digest)
                Ring(bits, cohort.size)
      member    make_setup(instance, cohort, me, keys, entropy) -> OwnSetup; .public is a Setup
      all       check_setups(instance, cohort, {i: Setup}): compares tags, names the pair
      member    receive_shares(own, keys, setups) -> {dealer: SharePair}, own included
      all       masking_set(cohort, indices) -> IndexSet, W
      member    mask_keys(instance, cohort, own, keys, W) -> MaskKeys
                mask(values, ring, mask_keys) -> masked vector, in the same memory
                chunk_root(file); value_commitment(instance, me, salt, root of the values)
      all       survivor_set(cohort, W, indices) -> IndexSet, U
      member    unmask(instance, me, shares, W, U) -> Unmask
      anyone    open_instance(instance, cohort, setups, W, U, answers) -> Opening
                Opening.sum({i: masked vector}, ring) -> signed values, check elements left out

    before it joins
      member    leak_score(released, me, rho), held against the charter's limit

Values are signed, of 16 or 32 bits, |value| <= Ring.largest, and end in CHECK_ELEMENTS zeros.
`SealRefused`: what I am asked to do does not fit. `SealVoid`: the instance is lost; `culprits` are
indices. What may happen once only is kept by the member's store, `federation.sealed.store`, which
is asked before anything is sent.
"""

from concord.crypto.seal.cohorts import (
    Cohort,
    beacon_commitment,
    draw_cohorts,
    draw_seed,
    threshold_of,
)
from concord.crypto.seal.epoch import (
    EpochKey,
    EpochPrivateKey,
    decode_sealed,
    encode_sealed,
    epoch_digest,
    open_pair_secret,
    pair_key,
    pair_keys,
    seal_pair_secrets,
)
from concord.crypto.seal.instance import IndexSet, Instance
from concord.crypto.seal.leak import leak_score
from concord.crypto.seal.member import (
    MaskKeys,
    Revealed,
    Unmask,
    check_setups,
    check_values,
    chunk_root,
    differing_tags,
    mask,
    mask_keys,
    masking_set,
    receive_shares,
    survivor_set,
    unmask,
    value_commitment,
)
from concord.crypto.seal.opener import Fault, Opening, open_instance
from concord.crypto.seal.ring import CHECK_ELEMENTS, Ring
from concord.crypto.seal.setup import OwnSetup, Setup, Share, SharePair, make_setup

__all__ = [
    "CHECK_ELEMENTS",
    "Cohort",
    "EpochKey",
    "EpochPrivateKey",
    "Fault",
    "IndexSet",
    "Instance",
    "MaskKeys",
    "Opening",
    "OwnSetup",
    "Revealed",
    "Ring",
    "Setup",
    "Share",
    "SharePair",
    "Unmask",
    "beacon_commitment",
    "check_setups",
    "check_values",
    "chunk_root",
    "decode_sealed",
    "differing_tags",
    "draw_cohorts",
    "draw_seed",
    "encode_sealed",
    "epoch_digest",
    "leak_score",
    "make_setup",
    "mask",
    "mask_keys",
    "masking_set",
    "open_instance",
    "open_pair_secret",
    "pair_key",
    "pair_keys",
    "receive_shares",
    "seal_pair_secrets",
    "survivor_set",
    "threshold_of",
    "unmask",
    "value_commitment",
]

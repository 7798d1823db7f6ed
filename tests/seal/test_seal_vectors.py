"""Known answers: any change of a label, a layout or a derivation fails here.

The numbers were computed by a separate prototype before this code was written, the later ones by
`second_opener`, which was written from docs/sealed.md.
"""

import hashlib
import hmac
import json
from pathlib import Path

import numpy as np
import pytest

from concord.crypto.seal import (
    Cohort,
    EpochKey,
    EpochPrivateKey,
    IndexSet,
    Instance,
    Ring,
    beacon_commitment,
    draw_cohorts,
    draw_seed,
    epoch_digest,
    open_pair_secret,
    pair_key,
    value_commitment,
)
from concord.crypto.seal.instance import (
    blob_key,
    confirmation_tag,
    pair_mask_key,
    round_secret,
    self_mask_key,
    share_key,
)
from concord.crypto.seal.labels import expand, extract, label
from concord.crypto.seal.masks import Keystream, apply_masks
from concord.crypto.seal.setup import Share, seed_commitment
from concord.crypto.seal.shamir import PRIME, combine, shares_of
from concord.update.integer import FluHeader, Mode

ROOT = Path(__file__).parents[2]
KNOWN = json.loads((ROOT / "docs/sealed-vectors.json").read_text())
PLACE, PAIR, MASK, SELF = (KNOWN[name] for name in ("instance", "pair", "mask", "self"))


def unhex(fields: dict, *names: str) -> list[bytes]:
    return [bytes.fromhex(fields[name]) for name in names]


INSTANCE = Instance(
    **{
        name: value if isinstance(value, int) else bytes.fromhex(value)
        for name, value in PLACE.items()
        if name != "ctx"
    }
)
CTX = INSTANCE.ctx
PRK = pair_key(PAIR["i"], PAIR["j"], *unhex(PAIR, "s_i_to_j", "s_j_to_i"))
SECRET = round_secret(PRK, CTX, PAIR["j"], PAIR["i"])
SET = IndexSet(tuple(PAIR["W"])).digest(CTX)
MASK_KEY = pair_mask_key(SECRET, SET)
(SEED,) = unhex(SELF, "b")


@pytest.mark.parametrize("name", KNOWN["labels"])
def test_labels_match(name: str) -> None:
    assert label(name).hex() == KNOWN["labels"][name]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (CTX, PLACE["ctx"]),
        (PRK, PAIR["PRK"]),
        (pair_key(3, 1, *unhex(PAIR, "s_j_to_i", "s_i_to_j")), PAIR["PRK"]),
        (SECRET, PAIR["r"]),
        (confirmation_tag(SECRET), PAIR["tag"]),
        (share_key(PRK, CTX, 1, 3), PAIR["e_i_to_j"]),
        (SET, PAIR["H_W"]),
        (MASK_KEY, PAIR["k"]),
        (self_mask_key(SEED, CTX, SELF["i"], SET), SELF["kb"]),
        (seed_commitment("b", CTX, SELF["i"], SEED), SELF["commitment"]),
    ],
    ids=["ctx", "PRK", "PRK at j", "r", "tag", "e", "H_W", "k", "kb", "commitment"],
)
def test_derivations_match(found: bytes, expected: str) -> None:
    assert found.hex() == expected


def test_commitments_match() -> None:
    known = KNOWN["commitments"]
    rho, nonce, share, root = unhex(known, "rho", "nonce", "share", "root_of_values")
    found = {
        "of_rho": seed_commitment("r", CTX, 1, rho),
        "of_share_of_b": Share(nonce, share).commitment("b", CTX, 1, 3),
        "of_share_of_rho": Share(nonce, share).commitment("r", CTX, 1, 3),
        "of_values": value_commitment(INSTANCE, 1, nonce, root),
        "blob_key": blob_key(rho, CTX, 1),
    }
    assert {name: value.hex() for name, value in found.items()} == {
        name: known[name] for name in found
    }


def test_cohorts_match() -> None:
    known, draw = KNOWN["cohort"], KNOWN["draw"]
    assert Cohort(tuple(known["members"]), 3).digest.hex() == known["digest"]
    beacons = {name: bytes.fromhex(value) for name, value in draw["beacons"].items()}
    commitments = {name: beacon_commitment(name, value) for name, value in beacons.items()}
    assert {name: one.hex() for name, one in commitments.items()} == draw["commitments"]
    seed = draw_seed(bytes.fromhex(draw["checkpoint_root"]), commitments, beacons)
    assert seed.hex() == draw["seed"]
    cohorts = draw_cohorts(seed, draw["entities"], target=draw["target"], min_survivors=5)
    assert [list(cohort.members) for cohort in cohorts] == draw["cohorts"]


def test_a_sealed_secret_of_an_earlier_version_still_opens() -> None:
    """The hybrid suite follows a draft: a library that changes it must not go unnoticed."""
    known = KNOWN["epoch"]
    private = [
        EpochPrivateKey.decode(bytes.fromhex(one))
        for one in known["private_keys_mlkem_seed_then_x25519"]
    ]
    beacons = [bytes.fromhex(one) for one in known["beacons"]]
    keys = [
        EpochKey(key.public, beacon_commitment(name, beacon))
        for key, name, beacon in zip(private, known["members"], beacons, strict=True)
    ]
    hashes = [hashlib.sha256(key.encode()).hexdigest() for key in keys]
    assert hashes == known["epoch_keys_sha256"]
    assert epoch_digest(keys).hex() == known["EK"]
    run, sealed = unhex(known, "run", "sealed")
    i, j = known["i"], known["j"]
    found = open_pair_secret(run, keys, private[j], me=j, of=i, data=sealed)
    assert found.hex() == known["s_i_to_j"]


def test_flu1_header_matches() -> None:
    known = KNOWN["flu1"]
    header = FluHeader(
        Mode(known["mode"]),
        Ring(known["ring_bits"], known["members_of_largest_cohort"]),
        bytes.fromhex(known["run"]),
        known["round"],
        known["fragment"],
        known["attempt"],
        known["member"],
        known["elements"],
        bytes.fromhex(known["scale_table"]),
    )
    assert header.encode().hex() == known["header"]
    assert header.file_bytes == known["file_bytes"]


def test_masks_are_little_endian_elements_of_a_big_endian_counter() -> None:
    first = Keystream(MASK_KEY).read(8)
    assert np.frombuffer(first, "<u2").tolist() == MASK["first_u16"]
    assert np.frombuffer(first, "<u4").tolist() == MASK["first_u32"]
    later = Keystream(MASK_KEY, block=MASK["block"]).read(8)
    assert np.frombuffer(later, "<u2").tolist() == MASK["u16_from_block"]


def test_a_mask_spans_chunks_without_a_seam() -> None:
    vector = np.zeros(16 * MASK["block"] // 2 + 4, "<u2")
    apply_masks(vector, [MASK_KEY], [])
    assert vector[:4].tolist() == MASK["first_u16"]
    assert vector[-4:].tolist() == MASK["u16_from_block"]


def test_shamir_shares_match() -> None:
    known = KNOWN["shamir"]
    shares = shares_of(SEED, known["coefficients"], 5)
    ends = [share[-1:].hex() for share in shares]
    assert ends == known["last_bytes_of_shares_at_x_1_to_5"]
    assert combine({4: shares[4], 1: shares[1], 2: shares[2]}) == SEED


def test_shamir_prime_is_prime_and_the_largest_below_2_to_256() -> None:
    def probably_prime(number: int) -> bool:
        return all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7, 11, 13))

    assert probably_prime(PRIME)
    assert not any(probably_prime(number) for number in range(PRIME + 2, 2**256, 2))


def test_hkdf_is_that_of_rfc_5869() -> None:
    """Against HMAC from the standard library, by the two formulae of the RFC."""
    key = hmac.new(label("seal/pair"), b"secret", hashlib.sha256).digest()
    assert extract("seal/pair", b"secret") == key
    info = label("seal/mask") + b"set"
    first = hmac.new(key, info + b"\x01", hashlib.sha256).digest()
    second = hmac.new(key, first + info + b"\x02", hashlib.sha256).digest()
    assert expand(key, "seal/mask", b"set", length=48) == (first + second)[:48]


@pytest.mark.parametrize(("size", "bits", "value_bits"), [
    (3, 16, 13), (8, 16, 12), (16, 16, 11), (32, 16, 10), (200, 16, 7), (8, 32, 28),
])  # fmt: skip
def test_value_bits_leave_a_guard_bit(size: int, bits: int, value_bits: int) -> None:
    ring = Ring(bits, size)
    assert ring.value_bits == value_bits
    assert size * ring.largest < 2 ** (bits - 2)

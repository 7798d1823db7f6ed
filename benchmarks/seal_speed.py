"""Sealed mode on one core: masking beside raw AES, opening, whole instances, and Flower's SecAgg+.

    python benchmarks/seal_speed.py [--values 10000000] [--flower PYTHON-THAT-HAS-FLWR] [--markdown]

Times are processor time. What is compared is measured in turn, several times, and the median of
the ratios is given, so that other work on the machine weighs on both sides alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from update_codecs import table

from concord.crypto.seal import (
    Cohort,
    EpochKey,
    EpochPrivateKey,
    IndexSet,
    Instance,
    Ring,
    beacon_commitment,
    chunk_root,
    encode_sealed,
    make_setup,
    mask,
    mask_keys,
    open_instance,
    open_pair_secret,
    pair_keys,
    receive_shares,
    seal_pair_secrets,
    unmask,
)
from concord.crypto.seal.masks import CHUNK_BYTES, Keystream, apply_masks
from concord.update.integer import FluHeader, Mode, Scale, ScaleTable, quantise

REPEATS = 7
VECTOR_BYTES = 64 << 20
OUR_BITS = "256 pair, 248 own"
FLOWER = Path(__file__).with_name("seal_flower.py")


def seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def raw_pass(total_bytes: int) -> None:
    """AES-256-CTR over zeros and one addition, on buffers that stay in the second cache."""
    stream = Cipher(AES256(os.urandom(32)), CTR(bytes(16))).encryptor()
    zeros, out = bytes(CHUNK_BYTES), bytearray(CHUNK_BYTES)
    total = np.zeros(CHUNK_BYTES // 2, np.uint16)
    mask_ = np.frombuffer(out, np.uint16)
    for _ in range(total_bytes // CHUNK_BYTES):
        stream.update_into(zeros, out)
        np.add(total, mask_, out=total)


def masking_rows() -> list[list[str]]:
    rows = []
    for bits in (16, 32):
        dtype = f"<u{bits // 8}"
        vector = np.zeros(VECTOR_BYTES // (bits // 8), dtype)
        for count in (1, 8, 16):
            keys = [os.urandom(32) for _ in range(count)]
            ours, raw, ratios = [], [], []
            for _ in range(REPEATS):
                total = count * VECTOR_BYTES
                ours.append(total / seconds(partial(apply_masks, vector, keys, [])))
                raw.append(total / seconds(partial(raw_pass, total)))
                ratios.append(ours[-1] / raw[-1])
            name = f"{bits} bit, {count} mask{'s' * (count > 1)}"
            rows.append([
                name, f"{statistics.median(ours) / 1e9:.2f}",
                f"{statistics.median(raw) / 1e9:.2f}", f"{statistics.median(ratios):.0%}",
            ])  # fmt: skip
    return rows


@dataclass
class Timed:
    """One whole instance, with the time of each part."""

    epoch_s: float
    setup_s: float
    share_s: float
    mask_s: float
    open_s: float
    sum_s: float
    sent: int
    exact: bool


def instance_of(cohort: Cohort) -> Instance:
    part = [bytes([number]) * 32 for number in range(4)]
    return Instance(part[0], 1, 0, 0, part[1], part[2], part[3], cohort.digest)


def epoch(cohort: Cohort) -> tuple[list[dict[int, bytes]], float]:
    """Keys of all pairs, and the time that one member spends on them."""
    size = cohort.size
    start = time.process_time()
    private = [EpochPrivateKey.generate() for _ in range(size)]
    keys = [
        EpochKey(key.public, beacon_commitment(name, os.urandom(32)))
        for key, name in zip(private, cohort.members, strict=True)
    ]
    run = bytes(32)
    sealed = [seal_pair_secrets(run, keys, i, os.urandom) for i in range(size)]
    found: list[dict[int, bytes]] = []
    for me in range(size):
        theirs = {
            j: open_pair_secret(run, keys, private[me], me=me, of=j, data=sealed[j][1][me])
            for j in range(size)
            if j != me
        }
        found.append(pair_keys(me, sealed[me][0], theirs))
    assert encode_sealed(sealed[0][1], size, 0)
    return found, (time.process_time() - start) / size


def whole(size: int, bits: int, values: int, drop: int) -> Timed:
    """An instance of `size` members of which `drop` are lost after they masked."""
    cohort = Cohort(tuple(f"m{i:03}" for i in range(size)), 3)
    ring, instance = Ring(bits, size), instance_of(cohort)
    keys, epoch_s = epoch(cohort)
    own = {}
    setup_s = seconds(
        lambda: own.update(
            {i: make_setup(instance, cohort, i, keys[i], os.urandom) for i in range(size)}
        )
    )
    setups = {i: one.public for i, one in own.items()}
    masked = IndexSet(tuple(range(size)))
    survivors = IndexSet(tuple(range(size - drop)))
    rng = np.random.default_rng(0)
    vectors, total, mask_s, sent = {}, np.zeros(values, np.int64), 0.0, 0
    for i in range(size):
        plain = rng.integers(-ring.largest, ring.largest + 1, values + 64, dtype=np.int32)
        plain[-64:] = 0
        plain = plain.astype(ring.signed)
        if i in survivors:
            total += plain[:-64]
        start = time.process_time()
        vector = mask(plain, ring, mask_keys(instance, cohort, own[i], keys[i], masked))
        mask_s += time.process_time() - start
        if i in survivors:
            vectors[i] = vector
    share_s, answers = 0.0, []
    for i in survivors.indices:
        start = time.process_time()
        held = receive_shares(own[i], keys[i], setups)
        answers.append(unmask(instance, i, held, masked, survivors))
        share_s += time.process_time() - start
    sent = len(setups[0].encode()) + 64 + vectors[0].nbytes + len(answers[0].encode())
    start = time.process_time()
    opening = open_instance(instance, cohort, setups, masked, survivors, answers)
    opened = time.process_time()
    found = opening.sum(vectors, ring)
    ended = time.process_time()
    exact = bool((found == total).all())
    return Timed(
        epoch_s, setup_s / size, share_s / len(survivors), mask_s / size, opened - start,
        ended - opened, sent, exact,
    )  # fmt: skip


def protocol_rows(values: int) -> list[list[str]]:
    rows = []
    for size, bits, drop in ((3, 32, 0), (8, 16, 0), (8, 16, 1), (16, 16, 2), (32, 16, 2)):
        one = whole(size, bits, values, drop)
        assert one.exact
        rows.append([
            f"{size} members, 2^{bits}, {drop} lost", f"{one.epoch_s * 1e3:.1f}",
            f"{one.setup_s * 1e3:.1f}", f"{one.share_s * 1e3:.1f}", f"{one.mask_s * 1e3:.0f}",
            f"{one.open_s * 1e3:.0f}", f"{one.sum_s:.2f}",
        ])  # fmt: skip
    return rows


def quantise_rows(values: int) -> list[list[str]]:
    rows = []
    source = np.random.default_rng(0).standard_normal(values).astype(np.float32)
    for bits in (16, 32):
        ring, out = Ring(bits, 8), np.empty(values, Ring(bits, 8).signed)
        draw = Keystream(os.urandom(32)).read
        one = partial(quantise, source, out, clip=8.0, share=1.0, ring=ring, random=draw)
        rates = [values / seconds(one) for _ in range(REPEATS)]
        rows.append([f"{bits} bit", f"{statistics.median(rates) / 1e6:.0f}"])
    return rows


def peak_above_vector() -> int:
    """Bytes that masking allocates beside the vector, which is changed in place."""
    vector = np.zeros(VECTOR_BYTES // 2, "<u2")
    keys = [os.urandom(32) for _ in range(8)]
    tracemalloc.start()
    apply_masks(vector, keys, [])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def ours(members: int, values: int, bits: int) -> dict[str, float]:
    """One round as Flower's is measured: float32 updates in, their mean out, all survive."""
    cohort = Cohort(tuple(f"m{i:03}" for i in range(members)), 3)
    instance, (keys, epoch_s) = instance_of(cohort), epoch(cohort)
    scales = ScaleTable(bits, members, (Scale("all", values, 8.0),))
    ring = scales.ring
    rng = np.random.default_rng(0)
    updates = {i: rng.standard_normal(values).astype(np.float32) for i in range(members)}
    everybody = IndexSet(tuple(range(members)))
    start = time.process_time()
    own = {i: make_setup(instance, cohort, i, keys[i], os.urandom) for i in range(members)}
    setups, vectors, held = {i: s.public for i, s in own.items()}, {}, {}
    for i in range(members):
        held[i] = receive_shares(own[i], keys[i], setups)
        draw = Keystream(os.urandom(32)).read
        plain = np.zeros(scales.count, ring.signed)
        part = plain[:values]
        quantise(updates[i], part, clip=8.0, share=1.0, ring=ring, random=draw)
        masks = mask_keys(instance, cohort, own[i], keys[i], everybody)
        vectors[i] = mask(plain, ring, masks)
        chunk_root(memoryview(vectors[i]).cast("B"))
    answers = [unmask(instance, i, held[i], everybody, everybody) for i in range(members)]
    member_s = time.process_time() - start
    opening = open_instance(instance, cohort, setups, everybody, everybody, answers)
    total = opening.sum(vectors, ring)
    factor = 8.0 / (ring.largest * members)
    mean = (total.astype(np.float64) * factor).astype(np.float32)
    whole_s = time.process_time() - start
    header = FluHeader(Mode.MASKED, ring, bytes(16), 1, 0, 0, 0, scales.count, scales.hash16)
    setup_bytes, answer_bytes = len(setups[0].encode()), len(answers[0].encode())
    true = np.mean(list(updates.values()), axis=0)
    return {
        "whole_s": whole_s,
        "member_s": member_s / members,
        "server_s": whole_s - member_s,
        "epoch_s": epoch_s,
        "sent_bytes": setup_bytes + header.file_bytes + answer_bytes,
        "received_bytes": (members - 1) * setup_bytes,
        "max_error": float(np.abs(mean - true).max()),
    }


def flower_rows(python: Path | None, members: int, values: int) -> list[list[str]] | None:
    """Ours and Flower's in turn; None if Flower is absent."""
    if python is None:
        print(
            "\nflwr is absent: give --flower the Python of an environment that has it",
            file=sys.stderr,
        )
        return None
    mine: dict[int, list[dict[str, float]]] = {16: [], 32: []}
    theirs: list[dict[str, float]] = []
    command = [str(python), str(FLOWER), "--members", str(members), "--values", str(values)]
    for _ in range(3):
        for bits in mine:
            mine[bits].append(ours(members, values, bits))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"\nFlower did not run: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        theirs.append(json.loads(done.stdout.strip().splitlines()[-1]))

    def row(name: str, runs: list[dict[str, float]], bits: str) -> list[str]:
        middle = {
            key: statistics.median(run[key] for run in runs) for key in runs[0] if key != "version"
        }
        ratio = statistics.median(
            run["whole_s"] / other["whole_s"] for run, other in zip(runs, theirs, strict=True)
        )
        return [
            name, f"{middle['member_s']:.3f}", f"{middle['server_s']:.3f}",
            f"{middle['whole_s']:.2f}", f"{1 / ratio:.0f}x" if ratio < 1 else "1x",
            f"{middle['sent_bytes'] / 1e6:.2f}", f"{middle['received_bytes'] / 1e3:.1f}", bits,
            f"{middle['max_error']:.0e}",
        ]  # fmt: skip

    label = f"Flower {theirs[0]['version']} SecAgg+"
    return [
        row("Concord, 16 bit", mine[16], OUR_BITS),
        row("Concord, 32 bit", mine[32], OUR_BITS),
        row(label, theirs, "{} pair, {} own".format(*theirs[0]["seed_bits"])),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=10_000_000)
    parser.add_argument("--flower", type=Path, help="a Python that has flwr")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    shown = {"markdown": options.markdown}
    columns = ["masking", "GB/s per core", "raw AES-256-CTR + add", "of raw"]
    table("Masking", columns, masking_rows(), **shown)
    print(f"\nMemory beside the vector: {peak_above_vector() / 2**20:.2f} MiB")
    columns = ["values", "M values/s"]
    table("Quantising", columns, quantise_rows(options.values), **shown)
    columns = [
        "instance",
        "epoch keys ms",
        "set-up ms",
        "shares ms",
        "mask ms",
        "seeds ms",
        "sum s",
    ]
    table(
        f"Whole instances, {options.values:,} values",
        columns,
        protocol_rows(options.values),
        **shown,
    )
    rows = flower_rows(options.flower, 8, 2_500_000)
    if rows is not None:
        columns = ["8 members x 10 MB of float32", "member s", "server s", "all s", "Flower / ours",
                   "sent MB", "received kB", "bits of mask seeds", "max error"]  # fmt: skip
        table("Beside Flower's SecAgg+", columns, rows, **shown)


if __name__ == "__main__":
    main()

"""The sum of a sealed instance once more, written from docs/sealed.md and from nothing else.

It shares no line with the product: HKDF from HMAC, counter mode from single AES blocks, Lagrange
with fractions of the field, masks as Python integers. Slow, and only for tests.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FIELD = 2**256 - 189


def label(x: str) -> bytes:
    return ("concord/" + x + "/v1").encode() + b"\x00"


def h(x: str, *parts: bytes) -> bytes:
    return hashlib.sha256(label(x) + b"".join(parts)).digest()


def e(key: bytes, x: str, *parts: bytes, length: int = 32) -> bytes:
    info, out, block, number = label(x) + b"".join(parts), b"", b"", 1
    while len(out) < length:
        block = hmac.new(key, block + info + bytes([number]), hashlib.sha256).digest()
        out, number = out + block, number + 1
    return out[:length]


def u16(x: int) -> bytes:
    return struct.pack(">H", x)


def mask(key: bytes, elements: int, k: int) -> list[int]:
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    size = elements * k // 8
    stream = b"".join(aes.update(c.to_bytes(16, "big")) for c in range(-(-size // 16)))
    return [int.from_bytes(stream[at : at + k // 8], "little") for at in range(0, size, k // 8)]


def cohort_digest(ids: list[str]) -> bytes:
    parts = [u16(len(one.encode())) + one.encode() for one in sorted(ids, key=str.encode)]
    return h("seal/cohort", u16(len(ids)), *parts)


def context(run, round_, fragment, attempt, roster, model, config, cohort) -> bytes:
    place = struct.pack(">QII", round_, fragment, attempt)
    return h("seal/ctx", run, place, roster, model, config, cohort)


def set_digest(ctx: bytes, members: list[int]) -> bytes:
    return h("seal/set", ctx, u16(len(members)), *(u16(one) for one in members))


class SetUp:
    """A set-up, taken apart in the order of step 2."""

    def __init__(self, data: bytes, n: int) -> None:
        at = 0

        def take(count: int) -> bytes:
            nonlocal at
            at += count
            return data[at - count : at]

        self.ctx, self.member = take(32), int.from_bytes(take(2), "big")
        self.tags = [take(16) for _ in range(n)]
        self.seeds = {0: take(32), 1: take(32)}
        self.shares = {0: [take(32) for _ in range(n)], 1: [take(32) for _ in range(n)]}
        self.encrypted = [take(156) for _ in range(n)]
        self.blob = data[at:]


def interpolate(points: list[tuple[int, int]]) -> int:
    """The value at 0 of the polynomial through some points."""
    total = 0
    for x, y in points:
        weight = 1
        for other, _ in points:
            if other != x:
                weight = weight * (-other) * pow(x - other, FIELD - 2, FIELD) % FIELD
        total = (total + y * weight) % FIELD
    return total


def sealed_sum(ids, place, setups, w, u, answers, vectors, k) -> list[int]:
    """The sum over U, or an AssertionError where the page says void.

    Args:
        place: Arguments of `context` without the cohort, by name.
        setups, answers, vectors: Bytes by member.
    """
    n, t = len(ids), 2 * len(ids) // 3 + 1
    ctx = context(**place, cohort=cohort_digest(ids))
    known = {i: SetUp(setups[i], n) for i in w}
    assert all(one.ctx == ctx for one in known.values())
    assert all(known[i].tags[j] == known[j].tags[i] for i in w for j in w if i != j)
    good: dict[int, list[tuple[int, int]]] = {d: [] for d in w}
    for i in sorted(answers):
        data = answers[i]
        if data[:64] != ctx + set_digest(ctx, u) or data[64:66] != u16(i):
            continue
        for at in range(68, len(data), 67):
            d, kind = int.from_bytes(data[at : at + 2], "big"), data[at + 2]
            salt, share = data[at + 3 : at + 35], data[at + 35 : at + 67]
            name = "seal/sh-b" if kind == 0 else "seal/sh-r"
            expected = h(name, ctx, u16(d), u16(i), salt, share)
            if kind == (d not in u) and expected == known[d].shares[kind][i]:
                good[d].append((i + 1, int.from_bytes(share, "big")))
    hw = set_digest(ctx, w)
    size = len(vectors[u[0]]) * 8 // k
    total = [0] * size
    for i in u:
        part = vectors[i]
        step = k // 8
        for at in range(size):
            total[at] += int.from_bytes(part[at * step : (at + 1) * step], "little")
    for d in w:
        kind = int(d not in u)
        assert len(good[d]) >= t
        seed = interpolate(good[d][:t]).to_bytes(32, "big")
        assert h("seal/r" if kind else "seal/b", ctx, u16(d), seed) == known[d].seeds[kind]
        if kind == 0:
            own = mask(e(seed, "seal/self", ctx, u16(d), hw), size, k)
            total = [a - b for a, b in zip(total, own, strict=True)]
            continue
        blob = known[d].blob
        key = e(seed, "seal/blob", ctx, u16(d))
        plain = AESGCM(key).decrypt(blob[:12], blob[12:], ctx + u16(d))
        others = [j for j in range(n) if j != d]
        for number, i in enumerate(others):
            secret = plain[32 * number : 32 * number + 32]
            if i not in u:
                continue
            tag = e(secret, "seal/confirm", length=16)
            assert tag == known[d].tags[i] == known[i].tags[d]
            left = mask(e(secret, "seal/mask", hw), size, k)
            sign = 1 if d < i else -1
            total = [a + sign * b for a, b in zip(total, left, strict=True)]
    signed = [(one + (1 << (k - 1))) % (1 << k) - (1 << (k - 1)) for one in total]
    b = k - (n - 1).bit_length() - 1
    assert not any(signed[-64:]) and max(map(abs, signed)) <= len(u) * (2 ** (b - 1) - 1)
    return signed[:-64]


def drawn(seed: bytes, entities: dict[str, str], target: int) -> list[list[str]]:
    """Cohorts, as under "Epoch", 3."""
    aes = Cipher(algorithms.AES(seed), modes.ECB()).encryptor()  # noqa: S305
    c = 0
    while True:
        buffer, block = b"", c << 64
        order = sorted(entities, key=str.encode)
        for p in range(len(order) - 1, 0, -1):
            while True:
                if not buffer:
                    buffer, block = aes.update(block.to_bytes(16, "big")), block + 1
                value, buffer = int.from_bytes(buffer[:4], "big"), buffer[4:]
                if value < 2**32 // (p + 1) * (p + 1):
                    break
            r = value % (p + 1)
            order[p], order[r] = order[r], order[p]
        everybody, groups = len(order), max(1, len(order) // target)
        cut = []
        for group in range(groups):
            size = everybody // groups + (group < everybody % groups)
            cut.append(sorted(order[:size], key=str.encode))
            order = order[size:]
        if all(len({entities[one] for one in part}) == len(part) for part in cut):
            return cut
        c += 1

"""Shamir's secret sharing of 31-byte seeds over the prime field of 2^256 - 189.

Member j holds the value at x = j + 1; x = 0 is the secret. Numbers are 32 bytes, big-endian.
Python's integers do not take constant time; see docs/sealed.md for what that means.

Source: Shamir 1979.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from concord.base.errors import SealRefused
from concord.crypto.seal.labels import exactly

PRIME = 2**256 - 189
SHARE_BYTES = 32
SEED_BYTES = 32
"""A seed is byte 00 and 31 random ones, so that it is below the prime."""

Entropy = Callable[[int], bytes]
"""count -> that many random bytes, such as `os.urandom`."""


def new_seed(entropy: Entropy) -> bytes:
    return b"\x00" + entropy(SEED_BYTES - 1)


def split(secret: bytes, shares: int, threshold: int, entropy: Entropy) -> list[bytes]:
    """Shares of a seed for members 0, 1, ...; any `threshold` give it back, fewer tell nothing.

    Raises:
        SealRefused: a threshold that is not in 1..shares, or a secret that is no seed.
    """
    coefficients = [_field(entropy) for _ in range(threshold - 1)]
    return shares_of(secret, coefficients, shares)


def shares_of(secret: bytes, coefficients: list[int], shares: int) -> list[bytes]:
    """Shares on the polynomial secret + c_1 x + c_2 x^2 + ...

    Raises:
        SealRefused: more coefficients than shares, or a secret that is no seed.
    """
    if not len(coefficients) < shares < PRIME:
        message = f"{shares} shares cannot have a threshold of {len(coefficients) + 1}"
        raise SealRefused(message, where="secret sharing")
    constant = int.from_bytes(exactly(secret, SEED_BYTES, where="seed"), "big")
    if secret[0] != 0:
        raise SealRefused("does not begin with byte 00", where="seed")
    found = []
    for x in range(1, shares + 1):
        value = 0
        for coefficient in reversed(coefficients):
            value = (value + coefficient) * x % PRIME
        found.append(((value + constant) % PRIME).to_bytes(SHARE_BYTES, "big"))
    return found


def combine(shares: Mapping[int, bytes]) -> bytes:
    """The secret of some shares, by Lagrange interpolation at 0.

    With fewer shares than the threshold, or one wrong share, the result is another number: check
    it against its commitment.

    Args:
        shares: Member index -> share.

    Raises:
        SealRefused: no share, a negative index, a share of another length or not below the prime.
    """
    if not shares or min(shares) < 0:
        raise SealRefused("there is no share, or one of nobody", where="secret sharing")
    points = {j + 1: _number(share) for j, share in shares.items()}
    total = 0
    for x, y in points.items():
        above, below = 1, 1
        for other in points:
            if other != x:
                above = above * other % PRIME
                below = below * (other - x) % PRIME
        total += y * above * pow(below, -1, PRIME)
    return (total % PRIME).to_bytes(SHARE_BYTES, "big")


def _number(share: bytes) -> int:
    value = int.from_bytes(exactly(share, SHARE_BYTES, where="share"), "big")
    if value >= PRIME:
        raise SealRefused("is not below the prime", where="share")
    return value


def _field(entropy: Entropy) -> int:
    while True:
        value = int.from_bytes(entropy(SHARE_BYTES), "big")
        if value < PRIME:
            return value

"""A member's tensors as integers, rounded so that the expected value is exact.

    q = clamp(floor(clip((w / w_max) x, +-c) Q / c + u), +-Q),   u uniform in [0, 1)

w is the member's public charter weight, w_max the largest of the roster. The randomness must come
from the member's own generator: who knew u would learn more from a value that it sees rounded.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from concord.base.tensors import FloatArray
from concord.crypto.seal.ring import Ring, SignedArray
from concord.update.codecs.interface import check_encodable

RandomBytes = Callable[[int], bytes]
"""count -> that many random bytes, such as `os.urandom` or `Keystream(os.urandom(32)).read`."""
_CHUNK = 1 << 15
"""Values at a time, so that all stays in a core's second cache."""


def quantise(
    values_D: FloatArray,
    out_D: SignedArray,
    *,
    clip: float,
    share: float,
    ring: Ring,
    random: RandomBytes,
) -> None:
    """Write one flat tensor as integers of the ring.

    Args:
        out_D: As long, of the ring's signed type; overwritten.
        clip: c, above 0.
        share: w / w_max, in (0, 1].

    Raises:
        UpdateError: a value is NaN, infinite or beyond 2^60.
    """
    # Values of a small ring have 13 bits at most; float32 leaves 11 for the fraction.
    real = np.float32 if ring.bits == 16 else np.float64
    largest, draws = ring.largest, np.dtype("<u2") if ring.bits == 16 else np.dtype("<u4")
    step = real(2.0 ** -(8 * draws.itemsize))
    factor, bound = real(share * largest / clip), real(clip / share)
    buffer = np.empty(_CHUNK, real)
    for start in range(0, values_D.size, _CHUNK):
        values = values_D[start : start + _CHUNK]
        check_encodable(values)
        scaled = buffer[: values.size]
        np.clip(values, -bound, bound, out=scaled)
        np.multiply(scaled, factor, out=scaled)
        drawn = np.frombuffer(random(values.size * draws.itemsize), draws)
        np.add(scaled, np.multiply(drawn, step, dtype=real), out=scaled)
        np.floor(scaled, out=scaled)
        np.clip(scaled, -largest, largest, out=scaled)  # sums may have been rounded up to Q + 1
        out_D[start : start + values.size] = scaled

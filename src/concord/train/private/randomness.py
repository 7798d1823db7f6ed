"""Random numbers that nobody can guess or see again: the key stream of AES-256 in counter mode.

What differential privacy promises rests on who cannot know the noise and the sample. A generator
for simulations can be rolled on from a part of its output; this one cannot. The key is drawn anew
for every use and is written nowhere, so that no noise is ever used twice.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray
from torch import Tensor

KEY_BYTES = 32
_AT_ONCE = 1 << 20


class SecretStream:
    """A stream of random numbers.

    Args:
        key: 32 bytes; tests hand one in. Without it the operating system gives one.
    """

    def __init__(self, key: bytes | None = None) -> None:
        key = key if key is not None else secrets.token_bytes(KEY_BYTES)
        self._cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def uniform(self, count: int) -> NDArray[np.float64]:
        """Numbers in [0, 1), multiples of 2^-53."""
        words = np.frombuffer(self._cipher.update(bytes(8 * count)), "<u8")
        return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers, float32 on the host, by Box and Muller's method in float64.

        The largest that can come is 8.6; beyond lies a chance of 1e-17.
        """
        count = math.prod(shape)
        numbers = torch.empty(count + count % 2, dtype=torch.float32)
        for start in range(0, len(numbers), _AT_ONCE):
            part = numbers[start : start + _AT_ONCE]
            first, second = torch.from_numpy(self.uniform(len(part))).view(2, -1)
            radius = torch.sqrt(-2 * torch.log1p(-first))
            part[: len(first)] = radius * torch.cos(2 * math.pi * second)
            part[len(first) :] = radius * torch.sin(2 * math.pi * second)
        return numbers[:count].view(tuple(shape))


def poisson_sample(stream: SecretStream, count: int, rate: float) -> NDArray[np.int64]:
    """Indices of `count` things, each drawn by itself with probability `rate`: maybe none.

    This, and not a batch of a fixed size, is the sample that the accountant reckons with
    (Mironov, Talwar, Zhang 2019, section 3).
    """
    return np.flatnonzero(stream.uniform(count) < rate)

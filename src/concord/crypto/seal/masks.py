"""Masks: AES-256-CTR read as elements of Z_2^k, added to a vector in passing.

The stream of a key starts at counter 0 (128 bits, big-endian) and is read as little-endian
elements. No mask is ever held as a whole: the vector is walked in chunks that stay in the second
cache, all keys inside, the stream made over one buffer of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from concord.base.errors import SealRefused
from concord.crypto.seal.labels import exactly
from concord.crypto.seal.ring import RingArray

KEY_BYTES = 32
BLOCK_BYTES = 16
CHUNK_BYTES = 256 << 10
MAX_BLOCKS = 1 << 32
"""Of one key; 64 GiB."""


class Keystream:
    """The bytes of AES-256-CTR under a key, in order.

    Args:
        key: 32 bytes.
        block: Counter of the first block.

    Raises:
        SealRefused: a key of another length, a counter out of range.
    """

    def __init__(self, key: bytes, *, block: int = 0) -> None:
        exactly(key, KEY_BYTES, where="mask key")
        if not 0 <= block < 1 << 128:
            raise SealRefused(f"{block} is not a counter of 128 bits", where="keystream")
        self._inner = Cipher(AES256(key), CTR(block.to_bytes(BLOCK_BYTES, "big"))).encryptor()

    def read(self, count: int) -> bytes:
        """The next `count` bytes."""
        return self._inner.update(bytes(count))

    def fill(self, out: Any, zeros: Any) -> None:
        """Write the next bytes over `out`; `zeros` is as long."""
        self._inner.update_into(zeros, out)


def apply_masks(vector: RingArray, add: Sequence[bytes], subtract: Sequence[bytes]) -> None:
    """Add the masks of some keys to a vector of ring elements, and subtract those of others.

    Args:
        vector: Flat, little-endian, uint16 or uint32; changed in place.
        add, subtract: Keys of 32 bytes.

    Raises:
        SealRefused: a key of another length, or a vector longer than one key may mask.
    """
    if vector.nbytes > MAX_BLOCKS * BLOCK_BYTES:
        raise SealRefused("is longer than one key may mask", where="vector")
    added = [Keystream(key) for key in add]
    subtracted = [Keystream(key) for key in subtract]
    size = min(CHUNK_BYTES, max(vector.nbytes, 1))
    zeros, scratch = memoryview(bytes(size)), memoryview(bytearray(size))
    step = CHUNK_BYTES // vector.itemsize
    for start in range(0, vector.size, step):
        chunk = vector[start : start + step]
        part, mask = scratch[: chunk.nbytes], _elements(scratch, chunk)
        for stream in added:
            stream.fill(part, zeros[: chunk.nbytes])
            np.add(chunk, mask, out=chunk)
        for stream in subtracted:
            stream.fill(part, zeros[: chunk.nbytes])
            np.subtract(chunk, mask, out=chunk)


def _elements(scratch: memoryview, chunk: RingArray) -> RingArray:
    return cast(RingArray, np.frombuffer(scratch, chunk.dtype, count=chunk.size))

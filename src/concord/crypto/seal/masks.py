"""Masks: AES-256-CTR read as elements of Z_2^k, added to a vector in passing.

The stream of a key starts at counter 0 (128 bits, big-endian) and is read as little-endian
elements. No mask is ever held as a whole: the vector is walked in chunks that stay in the second
cache, all keys inside, the stream made over one buffer of zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


class MaskStreams:
    """The masks of some keys, added to a vector chunk by chunk.

    Args:
        add, subtract: Keys of 32 bytes.

    Raises:
        SealRefused: a key of another length.
    """

    def __init__(self, add: Sequence[bytes], subtract: Sequence[bytes]) -> None:
        self._added = [Keystream(key) for key in add]
        self._subtracted = [Keystream(key) for key in subtract]
        self._zeros = memoryview(bytes(CHUNK_BYTES))
        self._scratch = memoryview(bytearray(CHUNK_BYTES))
        self._left = MAX_BLOCKS * BLOCK_BYTES

    def apply(self, chunk: RingArray) -> None:
        """Mask the next elements, in place.

        Args:
            chunk: Flat, at most `CHUNK_BYTES`; all but the last must fill whole blocks.

        Raises:
            SealRefused: the vector is longer than one key may mask.
        """
        self._left -= chunk.nbytes
        if self._left < 0:
            raise SealRefused("is longer than one key may mask", where="vector")
        part, zeros = self._scratch[: chunk.nbytes], self._zeros[: chunk.nbytes]
        mask = cast(RingArray, np.frombuffer(part, chunk.dtype))
        for stream in self._added:
            stream.fill(part, zeros)
            np.add(chunk, mask, out=chunk)
        for stream in self._subtracted:
            stream.fill(part, zeros)
            np.subtract(chunk, mask, out=chunk)


def chunks_of(count: int, itemsize: int) -> Iterator[slice]:
    """Where the chunks of a vector of `count` elements are."""
    step = CHUNK_BYTES // itemsize
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def apply_masks(vector: RingArray, add: Sequence[bytes], subtract: Sequence[bytes]) -> None:
    """Add the masks of some keys to a vector of ring elements, and subtract those of others.

    Args:
        vector: Flat, little-endian, uint16 or uint32; changed in place.
        add, subtract: Keys of 32 bytes.

    Raises:
        SealRefused: a key of another length, or a vector longer than one key may mask.
    """
    streams = MaskStreams(add, subtract)
    for place in chunks_of(vector.size, vector.itemsize):
        streams.apply(vector[place])

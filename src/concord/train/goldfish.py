"""Goldfish: targets that are left out of the loss, so that no passage is learned word for word.

A target is dropped iff h earlier tokens of its document exist and
`SipHash-2-4(public key, those h tokens) < 2^64 / k`. The key is one and public: were two members to
drop different tokens of a passage they share, together they would teach all of it.

SipHash is a keyed hash with published vectors and only additions, rotations and exclusive-ors on 64
bits: numpy computes it for all windows of a batch at once. Tokens enter as little-endian uint32.

What a sample cannot decide is dropped: a target near the start of a sample whose h earlier tokens
lie outside it, unless the sample shows its document's beginning. This costs up to h targets per
sample, and closes the gap through which a passage cut elsewhere would be learned after all.

Sources: Hans et al. 2024 [2406.10209]; Aumasson and Bernstein 2012 (SipHash).
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

PUBLIC_KEY = hashlib.sha256(b"concord goldfish").digest()[:16]
_INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)

Words = NDArray[np.uint64]


def kept_targets(
    tokens: NDArray[np.int64],
    *,
    k: int,
    context_tokens: int,
    end_id: int,
    key: bytes = PUBLIC_KEY,
) -> NDArray[np.bool_]:
    """Which targets of a batch stay in the loss.

    Args:
        tokens: [samples, T + 1]; the targets are columns 1 to T.
        k: Share of dropped targets is 1/k.
        context_tokens: h, the earlier tokens that decide.
        end_id: Token after a document; the next one begins behind it.

    Returns:
        [samples, T], True where the target counts.
    """
    assert k >= 2
    samples, width = tokens.shape
    h = context_tokens
    position = _positions(tokens, end_id)
    kept = (position >= 0) & (position < h)
    if width > h:
        windows = sliding_window_view(tokens, h, axis=1)[:, : width - h]
        hashes = siphash(windows.reshape(-1, h), key).reshape(samples, width - h)
        decided = (position < 0) | (position >= h)
        kept[:, h - 1 :] |= decided[:, h - 1 :] & (hashes >= np.uint64(2**64 // k))
    return kept


def _positions(tokens: NDArray[np.int64], end_id: int) -> NDArray[np.int64]:
    """Place of each target in its document; -1 where the document began before the sample."""
    columns = np.arange(tokens.shape[1])
    ends = np.where(tokens == end_id, columns, -1)
    last_end = np.maximum.accumulate(ends, axis=1)[:, :-1]
    return np.where(last_end < 0, -1, columns[1:] - last_end - 1)


def siphash(windows: NDArray[np.int64], key: bytes) -> Words:
    """SipHash-2-4 of each row of [rows, h] token ids, as uint64."""
    key_words = np.frombuffer(key, dtype="<u8")
    assert len(key_words) == 2
    message = _message_words(windows)
    state = [
        np.full(len(windows), np.uint64(start) ^ key_words[index % 2])
        for index, start in enumerate(_INITIAL)
    ]
    for word in message:
        state[3] ^= word
        _rounds(state, 2)
        state[0] ^= word
    state[2] ^= np.uint64(0xFF)
    _rounds(state, 4)
    hashes: Words = state[0] ^ state[1] ^ state[2] ^ state[3]
    return hashes


def _message_words(windows: NDArray[np.int64]) -> Words:
    """The padded message as [words, rows]: two tokens a word, the length in bytes on top."""
    rows, h = windows.shape
    padded = np.zeros((rows, h + 2 - h % 2), dtype="<u4")
    padded[:, :h] = windows
    words = padded.view("<u8").astype(np.uint64)
    words[:, -1] |= np.uint64((4 * h % 256) << 56)
    return np.ascontiguousarray(words.T)


def _rounds(state: list[Words], count: int) -> None:
    v0, v1, v2, v3 = state
    for _ in range(count):
        v0 += v1
        _rotate(v1, 13)
        v1 ^= v0
        _rotate(v0, 32)
        v2 += v3
        _rotate(v3, 16)
        v3 ^= v2
        v0 += v3
        _rotate(v3, 21)
        v3 ^= v0
        v2 += v1
        _rotate(v1, 17)
        v1 ^= v2
        _rotate(v2, 32)


def _rotate(words: Words, bits: int) -> None:
    low = words >> np.uint64(64 - bits)
    words <<= np.uint64(bits)
    words |= low

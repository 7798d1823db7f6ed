"""Tokens of a text in files that are mapped into memory, and an index that vouches for them.

    <folder>/shard-00000.bin …    token ids, little-endian uint16 or uint32, nothing else
    <folder>/index.json           counts and digests; written last

The files, one after the other, are one sequence: the end token, a document, the end token, the
next document, and so on. So each document is begun from the end token, as generation is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from concord.base.digest import Digest, digest_file
from concord.base.errors import CorpusEmpty, ShardsCorrupt, TokenizerError
from concord.base.files import private_folder, remove_torn, storage_errors
from concord.data.batching import batches
from concord.data.shard_index import (
    REMEDY,
    ShardFile,
    ShardSummary,
    index_path,
    read_index,
    token_dtype,
    write_index,
)
from concord.data.shard_writer import ShardWriter

__all__ = ["EncodeBatch", "ShardSummary", "TokenShards", "write_shards"]

SHARD_TOKENS = 1 << 27
_MODE = 0o600
_CHUNK_TOKENS = 1 << 22
EncodeBatch = Callable[[list[str]], list[list[int]]]


def write_shards(
    documents: Iterable[str],
    folder: Path,
    *,
    encode_batch: EncodeBatch,
    end_id: int,
    vocabulary_size: int,
    tokenizer_digest: Digest = "",
    source_digest: Digest = "",
    shard_tokens: int = SHARD_TOKENS,
) -> ShardSummary:
    """Encode documents into shards in the private `folder`, in place of those that are there.

    An index is written when all shards are, so an interrupted call leaves no readable shards.

    Args:
        documents: Texts, taken one batch at a time.
        encode_batch: Turns texts into token ids without special tokens.
        end_id: Token that begins each document.
        tokenizer_digest: Which tokenizer; kept in the index.
        source_digest: Which documents. Where both digests are given and are those of intact
            shards in `folder`, these are kept and `documents` is not touched.
        shard_tokens: Most tokens of one file.

    Raises:
        CorpusEmpty: there is no document.
        TokenizerError: a token id is outside the vocabulary, or a document is missing.
        StorageError: the disk is full or the folder cannot be written.
    """
    if not 0 <= end_id < vocabulary_size:
        raise TokenizerError(f"end token {end_id} is outside a vocabulary of {vocabulary_size}")
    private_folder(folder)
    if tokenizer_digest and source_digest:
        wanted = (tokenizer_digest, source_digest, end_id, vocabulary_size)
        earlier = _intact(folder)
        if earlier is not None and wanted == (
            earlier.tokenizer,
            earlier.source,
            earlier.end_id,
            earlier.vocabulary_size,
        ):
            return earlier
    remove_torn(folder)
    with storage_errors(folder):
        index_path(folder).unlink(missing_ok=True)
        for stale in folder.glob("shard-*.bin"):
            stale.unlink()
    writer = ShardWriter(folder, token_dtype(vocabulary_size), shard_tokens, mode=_MODE)
    count = 0
    with writer:
        for batch in batches(documents, len):
            encoded = encode_batch(batch)
            writer.write(_joined(encoded, len(batch), end_id, vocabulary_size))
            count += len(batch)
    if not count:
        raise CorpusEmpty("no document was given to encode", where=folder)
    summary = ShardSummary(
        documents=count,
        tokens=sum(shard.tokens for shard in writer.shards),
        vocabulary_size=vocabulary_size,
        end_id=end_id,
        tokenizer=tokenizer_digest,
        source=source_digest,
        shards=tuple(writer.shards),
    )
    write_index(folder, summary, mode=_MODE)
    return summary


class TokenShards:
    """The tokens of a folder as one sequence, mapped into memory.

    Args:
        verify: Compare the digest of each file, which reads all of it once.

    Raises:
        ShardsCorrupt: the index or a file is missing, torn or altered.
    """

    def __init__(self, folder: Path, *, verify: bool = True) -> None:
        self.folder = folder
        self.summary = read_index(folder)
        self._maps = [_mapped(folder, shard, self.summary, verify) for shard in self.summary.shards]
        self._ends = np.cumsum([shard.tokens for shard in self.summary.shards])

    @property
    def token_count(self) -> int:
        """Tokens in all, end tokens included."""
        return self.summary.tokens

    @property
    def vocabulary_size(self) -> int:
        return self.summary.vocabulary_size

    def token_counts(self) -> NDArray[np.int64]:
        """[vocabulary] How often each token occurs."""
        return self._token_counts.copy()

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens at positions of the sequence, 0 to `token_count` - 1, in their shape."""
        if len(self._maps) == 1:
            return self._maps[0][positions].astype(np.int64)
        found = np.empty(positions.shape, np.int64)
        shards = np.searchsorted(self._ends, positions, side="right")
        for shard in np.unique(shards).tolist():
            inside = shards == shard
            begin = int(self._ends[shard]) - len(self._maps[shard])
            found[inside] = self._maps[shard][positions[inside] - begin]
        return found

    @cached_property
    def _token_counts(self) -> NDArray[np.int64]:
        counts = np.zeros(self.vocabulary_size, np.int64)
        for tokens in self._maps:
            for start in range(0, len(tokens), _CHUNK_TOKENS):
                chunk = tokens[start : start + _CHUNK_TOKENS]
                counts += np.bincount(chunk, minlength=self.vocabulary_size)
        return counts


def _joined(
    encoded: Sequence[Sequence[int]], documents: int, end_id: int, vocabulary_size: int
) -> NDArray[np.int64]:
    if len(encoded) != documents:
        raise TokenizerError(f"gave {len(encoded):,} encodings for {documents:,} documents")
    flat = itertools.chain.from_iterable(itertools.chain((end_id,), ids) for ids in encoded)
    tokens = np.fromiter(flat, np.int64)
    if tokens.min() < 0 or tokens.max() >= vocabulary_size:
        raise TokenizerError(f"gave a token id outside its vocabulary of {vocabulary_size:,}")
    return tokens


def _intact(folder: Path) -> ShardSummary | None:
    with suppress(ShardsCorrupt):
        return TokenShards(folder).summary
    return None


def _mapped(
    folder: Path, shard: ShardFile, summary: ShardSummary, verify: bool
) -> NDArray[np.unsignedinteger]:
    path = folder / Path(shard.name).name
    try:
        size = path.stat().st_size
        if size != shard.tokens * summary.dtype.itemsize:
            raise ShardsCorrupt(
                "is shorter or longer than its index says", where=path, remedy=REMEDY
            )
        if verify and digest_file(path) != shard.digest:
            raise ShardsCorrupt("was altered", where=path, remedy=REMEDY)
        return np.memmap(path, summary.dtype, mode="r").view(np.ndarray)
    except OSError as error:
        raise ShardsCorrupt(
            f"cannot be read: {error.strerror}", where=path, remedy=REMEDY
        ) from error

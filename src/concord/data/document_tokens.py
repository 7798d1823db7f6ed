"""Shards that also know where each document begins, for uses in which the document is the unit.

    <folder>/shard-*.bin, index.json     as in `shards`
    <folder>/documents.bin               length of each document in tokens, little-endian uint64

The end token alone would not do: a tokenizer may find it inside a text, and one document would
count as two.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from concord.base.digest import Digest
from concord.base.errors import ShardsCorrupt
from concord.base.files import storage_errors, write_atomic
from concord.data.shard_index import REMEDY, index_path
from concord.data.shards import EncodeBatch, TokenShards, write_shards

_MODE = 0o600


def write_documents(
    documents: Iterable[str],
    folder: Path,
    *,
    encode_batch: EncodeBatch,
    end_id: int,
    vocabulary_size: int,
    tokenizer_digest: Digest,
    source_digest: Digest,
) -> None:
    """Encode documents into shards with their lengths; see `write_shards`.

    Raises:
        CorpusEmpty, TokenizerError, StorageError: as `write_shards` does.
    """
    lengths: list[int] = []
    _forget_unless_whole(folder)

    def encode(texts: list[str]) -> list[list[int]]:
        encoded = encode_batch(texts)
        lengths.extend(len(ids) + 1 for ids in encoded)
        return encoded

    write_shards(
        documents,
        folder,
        encode_batch=encode,
        end_id=end_id,
        vocabulary_size=vocabulary_size,
        tokenizer_digest=tokenizer_digest,
        source_digest=source_digest,
    )
    if lengths:
        write_atomic(_lengths_path(folder), np.array(lengths, "<u8").tobytes(), mode=_MODE)


def _forget_unless_whole(folder: Path) -> None:
    """Shards without the lengths that fit them are of no use: let them be written again."""
    try:
        DocumentTokens(folder)
    except ShardsCorrupt:
        with storage_errors(folder):
            index_path(folder).unlink(missing_ok=True)


class DocumentTokens:
    """The documents of a folder, each as its tokens.

    Raises:
        ShardsCorrupt: shards or lengths are missing, torn or altered.
    """

    def __init__(self, folder: Path) -> None:
        self._shards = TokenShards(folder)
        path = _lengths_path(folder)
        try:
            lengths = np.frombuffer(path.read_bytes(), "<u8").astype(np.int64)
        except (OSError, ValueError) as error:
            raise ShardsCorrupt("cannot be read", where=path, remedy=REMEDY) from error
        self._ends = np.cumsum(lengths)
        summary = self._shards.summary
        total = int(self._ends[-1]) if len(lengths) else 0
        if len(lengths) != summary.documents or total != summary.tokens:
            raise ShardsCorrupt("does not fit its shards", where=path, remedy=REMEDY)

    def __len__(self) -> int:
        return len(self._ends)

    def tokens(self, index: int) -> NDArray[np.int64]:
        """[length] Tokens of a document, the one that begins it first."""
        begin = int(self._ends[index - 1]) if index else 0
        return self._shards.at(np.arange(begin, int(self._ends[index])))


def _lengths_path(folder: Path) -> Path:
    return folder / "documents.bin"

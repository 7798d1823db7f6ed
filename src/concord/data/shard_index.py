"""The index of token shards: which files there are, what they hold, and their digests."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from concord.base.canonical import Json, canonical_json, parse_json
from concord.base.digest import Digest, check_digest
from concord.base.errors import ConcordError, ShardsCorrupt
from concord.base.files import write_atomic

FORMAT = 1
REMEDY = "encode the text again"


@dataclass(frozen=True)
class ShardFile:
    """One file of tokens."""

    name: str
    tokens: int
    digest: Digest


@dataclass(frozen=True)
class ShardSummary:
    """What the index says."""

    documents: int
    tokens: int
    """End tokens included."""
    vocabulary_size: int
    end_id: int
    tokenizer: Digest
    """Digest of the tokenizer, or empty."""
    source: Digest
    """Digest of the documents, or empty."""
    shards: tuple[ShardFile, ...]

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        return token_dtype(self.vocabulary_size)

    def to_json(self) -> Json:
        return {"format": FORMAT, **asdict(self), "shards": [asdict(s) for s in self.shards]}


def token_dtype(vocabulary_size: int) -> np.dtype[np.unsignedinteger]:
    """The narrower of uint16 and uint32 that holds every token id."""
    return np.dtype("<u2" if vocabulary_size <= 1 << 16 else "<u4")


def index_path(folder: Path) -> Path:
    return folder / "index.json"


def write_index(folder: Path, summary: ShardSummary, *, mode: int) -> None:
    """Write the index of finished shards."""
    write_atomic(index_path(folder), canonical_json(summary.to_json()), mode=mode)


def read_index(folder: Path) -> ShardSummary:
    """Read the index of a folder.

    Raises:
        ShardsCorrupt: it is missing, torn, or contradicts itself.
    """
    path = index_path(folder)
    try:
        value = parse_json(path.read_bytes(), where=path)
        if value.pop("format") != FORMAT:
            raise ShardsCorrupt("is of another format", where=path, remedy=REMEDY)
        shards = tuple(ShardFile(**shard) for shard in value.pop("shards"))
        summary = ShardSummary(shards=shards, **value)
        for shard in shards:
            check_digest(shard.digest)
        numbers = (summary.documents, summary.tokens, summary.vocabulary_size, summary.end_id)
        consistent = all(isinstance(number, int) for number in numbers) and (
            summary.tokens == sum(shard.tokens for shard in shards) > 0
        )
    except FileNotFoundError as error:
        raise ShardsCorrupt(
            "has no index: its text was not encoded to the end", where=folder, remedy=REMEDY
        ) from error
    except ShardsCorrupt:
        raise
    except (OSError, ConcordError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ShardsCorrupt("is no index of shards", where=path, remedy=REMEDY) from error
    if not consistent:
        raise ShardsCorrupt("contradicts itself", where=path, remedy=REMEDY)
    return summary

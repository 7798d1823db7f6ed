"""Rows of a Parquet file, read in batches, so that a file may be larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from concord.base.errors import CorpusUnreadable
from concord.data.documents import MAX_DOCUMENT_BYTES
from concord.data.sources import SourceFile

BATCH_ROWS = 256
BUFFER_BYTES = 1 << 20
MAX_NAMES_TOLD = 8


def read_rows(
    source: SourceFile, text_key: str, optional: Sequence[str], at: Callable[[int], None]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 1, values of the text column and the optional columns it has).

    Raises:
        CorpusUnreadable: no Parquet file, damaged, without a column `text_key` of strings.
    """
    number = 0
    try:
        with _open(source) as file:
            columns = _columns(file.schema_arrow, source, text_key, optional)
            for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
                for fields in batch.to_pylist():
                    number += 1
                    _check_length(fields[text_key], source, number)
                    yield number, fields
                at(source.bytes * number // max(1, file.metadata.num_rows))
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        problem = type(error).__name__
    else:
        return
    # Raised here, not above: what caused it may carry the text of a row.
    raise CorpusUnreadable(
        f"is damaged or no Parquet file, after row {number:,} ({problem})",
        where=source.path,
        remedy="fetch or write the file again",
    )


def _open(source: SourceFile) -> Any:
    # Arrow's defaults would load the whole column of a row group, which may be the whole file.
    return pq.ParquetFile(
        source.path, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True
    )


def _columns(schema: Any, source: SourceFile, text_key: str, optional: Sequence[str]) -> list[str]:
    names = schema.names
    if text_key not in names or not _holds_text(schema.field(text_key).type):
        told = ", ".join(repr(name[:40]) for name in names[:MAX_NAMES_TOLD])
        raise CorpusUnreadable(
            f"has no column {text_key!r} of strings",
            where=source.path,
            remedy=f"name the column that holds the text; it has {told}",
        )
    return [text_key, *(name for name in optional if name in names and name != text_key)]


def _holds_text(type_: Any) -> bool:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return bool(
        pa.types.is_string(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_string_view(type_)
    )


def _check_length(text: str | None, source: SourceFile, number: int) -> None:
    if text is not None and len(text) > MAX_DOCUMENT_BYTES:
        raise CorpusUnreadable(
            f"row {number:,} is over {MAX_DOCUMENT_BYTES >> 20} MiB",
            where=source.path,
            remedy="break it into shorter documents",
        )

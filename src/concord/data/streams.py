"""Files, plain or compressed, as lines of UTF-8, read without holding more than one line.

What the operating system, the decompressors and the decoder complain of becomes
`CorpusUnreadable` here, with the file and the line, and never with the text itself, not even in
the error that caused it.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, cast

import pyarrow as pa

from concord.base.errors import CorpusUnreadable
from concord.data.documents import MAX_DOCUMENT_BYTES
from concord.data.sources import SourceFile

BUFFER_BYTES = 1 << 18
BYTE_ORDER_MARK = "\ufeff"
DAMAGE = (OSError, EOFError, zlib.error, pa.ArrowException)


def read_lines(source: SourceFile, at: Callable[[int], None]) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line with its end) of a text file.

    Args:
        at: Told the bytes of the file that have been read so far, at each line.

    Raises:
        CorpusUnreadable: damaged compression, not UTF-8, a line over `MAX_DOCUMENT_BYTES`.
    """
    number = 0
    try:
        with _open(source) as (raw, stream):
            while line := stream.readline(MAX_DOCUMENT_BYTES + 1):
                number += 1
                yield number, _decode(line, source, number)
                at(raw.tell())
    except DAMAGE as error:
        problem = type(error).__name__
    else:
        return
    # Raised here, not above: what caused it may carry bytes of the text.
    raise CorpusUnreadable(
        f"is damaged or cut short after line {number:,} ({problem})",
        where=source.path,
        remedy="fetch or compress the file again",
    )


@contextmanager
def _open(source: SourceFile) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    with ExitStack() as stack:
        raw = stack.enter_context(source.path.open("rb", buffering=BUFFER_BYTES))
        stream: BinaryIO = raw
        if source.compression == "gz":
            stream = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=raw)))
        elif source.compression == "zst":
            # Arrow's reader, unlike zstandard's, refuses a frame that ends too early.
            unpacked = stack.enter_context(pa.input_stream(raw, compression="zstd"))
            stream = stack.enter_context(io.BufferedReader(unpacked, BUFFER_BYTES))
        yield raw, stream


def _decode(line: bytes, source: SourceFile, number: int) -> str:
    if len(line) > MAX_DOCUMENT_BYTES:
        raise CorpusUnreadable(
            f"line {number:,} is over {MAX_DOCUMENT_BYTES >> 20} MiB",
            where=source.path,
            remedy="break it into shorter documents",
        )
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        place = error.start + 1
    else:
        return text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text
    raise CorpusUnreadable(
        f"line {number:,} is not UTF-8 (byte {place:,} of the line)",
        where=source.path,
        remedy="convert the file to UTF-8, for example with iconv",
    )

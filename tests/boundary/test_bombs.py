"""Small packed files that claim to be huge: read up to a bound, and refused there."""

import gzip
import io
import struct
import tracemalloc

import pytest
import zstandard

from concord.base.errors import CorpusUnreadable
from concord.data.readers import read_documents
from concord.federation import parallel

BOMB_BYTES = 80 << 20


def packed(kind, data, times):
    stream = io.BytesIO()
    writer = gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) if kind == "gz" else None
    if writer is None:
        writer = zstandard.ZstdCompressor(level=1).stream_writer(stream, closefd=False)
    with writer:
        for _ in range(times):
            writer.write(data)
    return stream.getvalue()


@pytest.fixture(scope="module", params=["gz", "zst"])
def bomb(request):
    """One line of 80 MiB, packed into about a thousandth of it or less."""
    return request.param, packed(request.param, b"a" * (1 << 20), BOMB_BYTES >> 20)


def test_a_line_that_unpacks_without_end_is_refused_at_the_longest_documents_length(tmp_path, bomb):
    kind, data = bomb
    assert len(data) < BOMB_BYTES / 200
    path = tmp_path / f"x.jsonl.{kind}"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(CorpusUnreadable, match="line 1 is over 64 MiB"):
        list(read_documents([path]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * (64 << 20)


def test_a_parallel_set_that_unpacks_without_end_is_refused(tmp_path):
    (tmp_path / "am.txt.gz").write_bytes(packed("gz", b"a" * (1 << 20), BOMB_BYTES >> 20))
    with pytest.raises(CorpusUnreadable, match=f"more than {parallel.MAX_FILE_BYTES >> 20} MiB"):
        parallel.read_parallel(tmp_path, ["am"])


def test_a_frame_that_declares_a_tebibyte_is_refused_without_asking_for_it(tmp_path):
    magic, descriptor = b"\x28\xb5\x2f\xfd", b"\xe0"  # one segment, length in eight bytes
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(magic + descriptor + struct.pack("<Q", 1 << 40) + b"\x01\x00\x00")
    tracemalloc.start()
    with pytest.raises(CorpusUnreadable, match="damaged or cut short"):
        list(read_documents([path]))
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()

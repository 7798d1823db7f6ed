"""Small corpora for the tests of this folder."""

import gzip
import json
import random
import resource
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

KEY = b"a member's secret key of 32 byte"
COMPRESSIONS = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
ALPHABETS = {
    "Latin": "abcdefghijklmnopqrstuvwxyz      ",
    "Thai": "กขคงจชซญดตถทธนบปผพฟมยรลวสหอ",
    "Han": "".join(chr(0x4E00 + i) for i in range(800)),
    "Ethiopic": "".join(chr(0x1200 + i) for i in range(72)) + "     ",
    "Arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي     ",
}


def random_text(rng: random.Random, characters: int, script: str = "Latin") -> str:
    return "a" + "".join(rng.choices(ALPHABETS[script], k=characters - 2)) + "z"


def edited(rng: random.Random, text: str, edits: int) -> str:
    letters = list(text)
    for place in rng.sample(range(len(text)), edits):
        letters[place] = "x" if letters[place] != "x" else "y"
    return "".join(letters)


def jsonl(records) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def write_corpus(path, texts) -> None:
    path.write_bytes(jsonl({"id": f"d{i}", "text": text} for i, text in enumerate(texts)))


def write_parquet(path, records, **options) -> None:
    pq.write_table(pa.Table.from_pylist(records), path, **options)


@contextmanager
def full_disk(size_bytes: int):
    """No file may grow beyond `size_bytes`: a write fails as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

"""Readers: the same documents from every format; each damage named before training begins."""

import random
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textlab import COMPRESSIONS, jsonl, random_text, write_parquet

from concord.base.errors import CorpusNotFound, CorpusUnreadable
from concord.data.documents import Document
from concord.data.readers import WHOLE_FILE_CHARACTERS, read_documents

HIDDEN = "የተደበቀ ቃል"  # must never appear in an error
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
tags = st.sampled_from([None, "", "sw", "zh-Hans", "amh_Ethi"])
records = st.lists(
    st.fixed_dictionaries({"text": texts, "id": st.none() | texts, "lang": tags}), max_size=12
)


def failing(path, **options):
    with pytest.raises(CorpusUnreadable) as caught:
        list(read_documents([path], **options))
    told = str(caught.value)
    assert path.name in told
    assert caught.value.remedy
    assert HIDDEN not in told
    assert caught.value.__context__ is None  # it could carry the text into a traceback
    return told


@given(records)
@settings(max_examples=25, deadline=None)
def test_every_format_and_compression_gives_the_same_documents(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("formats")
    expected = [Document(r["id"] or "", r["text"], r["lang"] or "") for r in records]
    for suffix, pack in COMPRESSIONS.items():
        path = folder / f"a.jsonl{suffix}"
        path.write_bytes(pack(jsonl(records)))
        assert list(read_documents([path])) == expected
    schema = pa.schema([(name, pa.string()) for name in ("text", "id", "lang")])
    pq.write_table(pa.Table.from_pylist(records, schema), folder / "a.parquet", row_group_size=3)
    assert list(read_documents([folder / "a.parquet"])) == expected


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_small_txt_file_is_one_document(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(COMPRESSIONS[suffix]("\ufeffline one\n\nline two\n".encode()))
    assert [d.text for d in read_documents([path])] == ["line one\n\nline two\n"]


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_large_txt_file_is_split_at_blank_lines(tmp_path, suffix):
    blocks = [f"block {i}\n" + "x" * 900 + "\n" for i in range(100)]
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(COMPRESSIONS[suffix]("\n \t\n\n".join(blocks).encode()))
    assert [d.text for d in read_documents([path])] == blocks


def test_a_large_txt_file_without_blank_lines_is_cut_at_line_ends(tmp_path):
    path = tmp_path / "a.txt"
    text = "".join(f"verse {i}\n" for i in range(30_000))
    path.write_text(text)
    found = [d.text for d in read_documents([path])]
    assert "".join(found) == text
    assert len(found) > 1
    assert all(len(t) <= WHOLE_FILE_CHARACTERS and t.endswith("\n") for t in found)


def test_folders_are_read_recursively_in_the_order_of_names(tmp_path):
    for name in ("b/z.txt", "b/a.txt.gz", "a.jsonl", "c.TXT", ".hidden.txt", ".git/x.txt", "n.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        data = jsonl([{"text": name}]) if name.endswith("jsonl") else name.encode()
        path.write_bytes(COMPRESSIONS[".gz"](data) if name.endswith("gz") else data)
    found = [d.text for d in read_documents([tmp_path])]
    assert found == ["a.jsonl", "b/a.txt.gz", "b/z.txt", "c.TXT"]


def test_a_file_that_two_paths_lead_to_is_read_once(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    assert len(list(read_documents([tmp_path, tmp_path / "a.txt"]))) == 1


def test_concatenated_gzip_members_and_zstandard_frames_are_all_read(tmp_path):
    for suffix in (".gz", ".zst"):
        pack = COMPRESSIONS[suffix]
        parts = [jsonl([{"text": t}]) for t in ("one", "two", "three")]
        (tmp_path / f"a.jsonl{suffix}").write_bytes(b"".join(map(pack, parts)))
        found = [d.text for d in read_documents([tmp_path / f"a.jsonl{suffix}"])]
        assert found == ["one", "two", "three"]


def test_another_text_key_is_taken_and_numbers_may_be_ids(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl([{"body": "x", "text": 3, "id": 7}]))
    assert list(read_documents([path], text_key="body")) == [Document("7", "x")]


def test_null_text_is_an_empty_document(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl([{"text": None}, {"text": "x"}]))
    assert [d.text for d in read_documents([tmp_path / "a.jsonl"])] == ["", "x"]


@pytest.mark.parametrize("name", ["missing", "missing.txt", "missing.jsonl.gz"])
def test_a_path_that_leads_nowhere_is_refused(tmp_path, name):
    with pytest.raises(CorpusNotFound, match=name):
        list(read_documents([tmp_path / name]))


def test_a_folder_and_a_file_of_no_known_kind_are_refused(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"x")
    for path in (tmp_path, tmp_path / "a.docx"):
        with pytest.raises(CorpusNotFound, match=r"\.jsonl\.zst"):
            list(read_documents([path]))
    with pytest.raises(CorpusNotFound):
        list(read_documents([]))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_cut_short_anywhere_is_refused(tmp_path, suffix):
    rng = random.Random(1)
    lines = jsonl({"text": random_text(rng, 300)} for _ in range(60))
    packed = COMPRESSIONS[suffix](lines)
    path = tmp_path / f"a.jsonl{suffix}"
    for length in [1, 3, 9, 17, *range(40, len(packed), len(packed) // 12), len(packed) - 1]:
        path.write_bytes(packed[:length])
        assert "cut short" in failing(path)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_that_is_something_else_or_altered_is_refused(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(HIDDEN.encode() * 20)
    failing(path)
    data = bytearray(COMPRESSIONS[".gz"](random_text(random.Random(2), 5000).encode()))
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "b.txt.gz").write_bytes(data)
    failing(tmp_path / "b.txt.gz")


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_invalid_utf8_is_refused_with_its_line(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(COMPRESSIONS[suffix](f"fine\n{HIDDEN}".encode() + b"\xff\n"))
    assert "line 2 is not UTF-8" in failing(path)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"text": "' + HIDDEN, "not JSON"),
        (f'["{HIDDEN}"]', "not a JSON object"),
        (f'{{"body": "{HIDDEN}"}}', "has no key 'text'"),
        (f'{{"text": ["{HIDDEN}"]}}', "holds no text"),
        (f'{{"text": "x", "id": {{"a": "{HIDDEN}"}}}}', "id that is neither"),
        ('{"text": "x", "id": true}', "id that is neither"),
        ('{"text": "x", "id": "\\ud800"}', "surrogate"),
        (f'{{"text": "x", "lang": "{HIDDEN} is no tag"}}', "no language tag"),
        ('{"text": "x", "lang": "' + "a" * 36 + '"}', "no language tag"),
        ('{"text": ' + "[" * 100_000, "not JSON"),
    ],
)
def test_a_faulty_line_of_json_is_refused_with_its_number(tmp_path, line, problem):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n\n' + line + "\n")
    told = failing(path)
    assert "line 3" in told
    assert problem in told


def test_faulty_parquet_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, [{"body": HIDDEN, "number": 1}])
    assert "it has 'body', 'number'" in failing(path)
    assert "no column 'number' of strings" in failing(path, text_key="number")
    whole = path.read_bytes()
    for data in (b"", b"PAR1", HIDDEN.encode(), whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(data)
        assert "no Parquet file" in failing(path)


def test_invalid_utf8_in_parquet_is_refused(tmp_path):
    bad = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
    )
    pq.write_table(pa.table({"text": bad}), tmp_path / "a.parquet")
    failing(tmp_path / "a.parquet")


def test_a_line_longer_than_any_document_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("concord.data.streams.MAX_DOCUMENT_BYTES", 1000)
    path = tmp_path / "a.txt"
    path.write_text("short\n" + "x" * 1001)
    assert "line 2 is over" in failing(path)


def test_progress_grows_to_the_size_of_the_files(tmp_path):
    rng = random.Random(3)
    for number in range(2):
        lines = jsonl({"text": random_text(rng, 5000)} for _ in range(300))
        (tmp_path / f"{number}.jsonl").write_bytes(lines)
    told = []
    list(read_documents([tmp_path], on_progress=lambda done, total: told.append((done, total))))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert [total for _, total in told] == [size] * len(told)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == size
    assert len(told) >= 3


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.zst", "txt", "parquet"])
def test_memory_does_not_grow_with_the_corpus(tmp_path, suffix):
    rng = random.Random(4)
    texts = [random_text(rng, 8000) for _ in range(500)]
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        write_parquet(path, [{"text": t} for t in texts], row_group_size=100)
    else:
        joined = (
            "\n\n".join(texts).encode() if suffix == "txt" else jsonl({"text": t} for t in texts)
        )
        path.write_bytes(COMPRESSIONS[suffix.removeprefix("jsonl").removeprefix("txt")](joined))
    characters = 0
    tracemalloc.start()
    try:
        for document in read_documents([path]):
            characters += len(document.text)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert characters >= 4_000_000
    assert peak_bytes < (3 << 20 if suffix == "parquet" else 1 << 20)


def test_a_parquet_file_of_one_row_group_is_not_loaded_whole(tmp_path):
    rng = random.Random(5)
    records = [{"text": rng.randbytes(4000).hex()} for _ in range(4000)]
    write_parquet(tmp_path / "a.parquet", records, row_group_size=4000)
    before_bytes = pa.total_allocated_bytes()
    held_bytes = [pa.total_allocated_bytes() for _ in read_documents([tmp_path / "a.parquet"])]
    assert (tmp_path / "a.parquet").stat().st_size > 30 << 20
    assert max(held_bytes) - before_bytes < 25 << 20


def test_a_reader_left_early_closes_its_file(tmp_path):
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(COMPRESSIONS[".zst"](jsonl({"text": "x"} for _ in range(1000))))
    documents = read_documents([path])
    assert next(documents).text == "x"
    documents.close()  # a file left open would be reported as a warning, which is an error here

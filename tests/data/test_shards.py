"""Token shards: what is written is read, and whatever happened to the files since is noticed."""

import json
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textlab import full_disk

from concord.base.errors import CorpusEmpty, ShardsCorrupt, StorageError, TokenizerError
from concord.data.shards import TokenShards, write_shards

END = 256
DIGEST = "sha256:" + "0" * 64


def encode(texts):
    return [list(text.encode()) for text in texts]


def write(folder, documents, **options):
    options = {"encode_batch": encode, "end_id": END, "vocabulary_size": 257, **options}
    return write_shards(documents, folder, **options)


def all_tokens(shards):
    return shards.at(np.arange(shards.token_count, dtype=np.int64))


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=20
    ),
    st.integers(15, 200),
    st.sampled_from([257, 65536, 65537, 1_000_000]),
)
@settings(max_examples=25, deadline=None)
def test_shards_give_back_every_document(tmp_path_factory, texts, shard_tokens, vocabulary):
    folder = tmp_path_factory.mktemp("shards")
    summary = write(folder, texts, shard_tokens=shard_tokens, vocabulary_size=vocabulary)
    shards = TokenShards(folder)
    expected = [token for text in texts for token in (END, *text.encode())]
    assert all_tokens(shards).tolist() == expected
    assert shards.token_count == summary.tokens == len(expected)
    assert shards.summary == summary
    assert summary.documents == len(texts)
    assert [s.tokens for s in summary.shards[:-1]] == [shard_tokens] * (len(summary.shards) - 1)
    width = 2 if vocabulary <= 65536 else 4
    assert sum(p.stat().st_size for p in folder.glob("*.bin")) == width * len(expected)
    counts = shards.token_counts()
    assert counts.dtype == np.int64
    assert np.array_equal(counts, np.bincount(expected, minlength=vocabulary))


@pytest.fixture(scope="module")
def eight_shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eight")
    write(folder, [bytes(range(89)).decode()], shard_tokens=12)
    return TokenShards(folder)


@given(st.lists(st.integers(0, 89), min_size=4, max_size=4))
def test_positions_may_lie_in_any_shards_and_in_any_order(eight_shards, places):
    positions = np.array(places).reshape(2, 2)
    found = eight_shards.at(positions)
    assert found.tolist() == np.where(positions == 0, END, positions - 1).tolist()


def test_documents_are_taken_one_batch_at_a_time(tmp_path):
    taken, held = [], []

    def documents():
        for number in range(2000):
            taken.append(number)
            yield "x" * 50

    def counting(texts):
        held.append(len(texts))
        assert len(taken) == sum(held)
        return encode(texts)

    assert write(tmp_path, documents(), encode_batch=counting).documents == 2000
    assert max(held) <= 256


def test_the_folder_is_private(tmp_path):
    write(tmp_path / "shards", ["a", "b"], shard_tokens=1)
    assert stat.S_IMODE((tmp_path / "shards").stat().st_mode) == 0o700
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "shards").iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize(
    "damage",
    ["altered", "torn", "longer", "missing", "no index", "index", "other", "counts", "types"],
)
def test_damage_is_noticed(tmp_path, damage):
    write(tmp_path, ["first text", "second text"], shard_tokens=8)
    file, index = tmp_path / "shard-00001.bin", tmp_path / "index.json"
    data = file.read_bytes()
    record = json.loads(index.read_bytes())
    if damage == "altered":
        file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    elif damage == "torn":
        file.write_bytes(data[:-2])
    elif damage == "longer":
        file.write_bytes(data + b"\0\0")
    elif damage == "missing":
        file.unlink()
    elif damage == "no index":
        index.unlink()
    elif damage == "index":
        index.write_bytes(index.read_bytes()[:-5])
    elif damage == "other":
        index.write_text(json.dumps({**record, "format": 99}))
    elif damage == "types":
        index.write_text(json.dumps({**record, "vocabulary_size": "many"}))
    else:
        index.write_text(json.dumps({**record, "tokens": record["tokens"] + 1}))
    with pytest.raises(ShardsCorrupt) as caught:
        TokenShards(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("value", ["[]", "null", '{"format": 1}', '{"format": 1, "shards": [3]}'])
def test_an_index_of_another_form_is_refused(tmp_path, value):
    (tmp_path / "index.json").write_text(value)
    with pytest.raises(ShardsCorrupt, match="index"):
        TokenShards(tmp_path)


def test_an_index_cannot_name_files_of_another_folder(tmp_path):
    (tmp_path / "shards").mkdir()
    write(tmp_path / "shards", ["text"])
    index = tmp_path / "shards" / "index.json"
    (tmp_path / "shards" / "shard-00000.bin").rename(tmp_path / "shard-00000.bin")
    index.write_bytes(index.read_bytes().replace(b"shard-00000", b"../shard-00000"))
    with pytest.raises(ShardsCorrupt):
        TokenShards(tmp_path / "shards")


def test_encoding_that_fails_midway_leaves_no_readable_shards(tmp_path):
    write(tmp_path, ["an earlier text"] * 3, shard_tokens=4)

    def documents():
        yield from ["text"] * 600
        raise StorageError("the disk is full")

    with pytest.raises(StorageError):
        write(tmp_path, documents(), shard_tokens=100)
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(ShardsCorrupt, match="encoded to the end"):
        TokenShards(tmp_path)


def test_a_full_disk_is_a_storage_error_and_leaves_no_readable_shards(tmp_path):
    with full_disk(1000), pytest.raises(StorageError, match="shard"):
        write(tmp_path, ["text"] * 1000)
    assert not list(tmp_path.iterdir())


def test_fewer_shards_replace_more(tmp_path):
    write(tmp_path, ["a long text"] * 9, shard_tokens=8)
    (tmp_path / ".shard-00003.bin.0a1b2c3d.part").write_bytes(b"of a killed process")
    write(tmp_path, ["short"])
    assert {p.name for p in tmp_path.iterdir()} == {"shard-00000.bin", "index.json"}
    assert TokenShards(tmp_path).token_count == 6


def test_open_shards_outlive_their_replacement(tmp_path):
    write(tmp_path, ["old text"])
    shards = TokenShards(tmp_path)
    write(tmp_path, ["new text, longer than the old one"])
    assert bytes(all_tokens(shards)[1:].tolist()) == b"old text"


def test_intact_shards_of_the_same_text_and_tokenizer_are_kept(tmp_path):
    options = {"tokenizer_digest": DIGEST, "source_digest": DIGEST}
    first = write(tmp_path, ["text"], **options)

    def untouched():
        raise AssertionError("documents were read again")
        yield ""

    assert write(tmp_path, untouched(), **options) == first
    assert write(tmp_path, ["other"], **options | {"tokenizer_digest": DIGEST[:-1] + "1"}) != first
    (tmp_path / "shard-00000.bin").write_bytes(b"torn")
    assert write(tmp_path, ["text"], **options) == first
    assert TokenShards(tmp_path).token_count == 5


@pytest.mark.parametrize("encoding", [[[257]], [[-1]], [[1], [2]], []])
def test_a_tokenizer_that_gives_impossible_tokens_is_refused(tmp_path, encoding):
    with pytest.raises(TokenizerError):
        write(tmp_path, ["secret"], encode_batch=lambda _: encoding)
    with pytest.raises(ShardsCorrupt):
        TokenShards(tmp_path)


def test_an_end_token_outside_the_vocabulary_and_no_document_are_refused(tmp_path):
    with pytest.raises(TokenizerError):
        write(tmp_path, ["x"], end_id=257)
    with pytest.raises(CorpusEmpty):
        write(tmp_path, [])

"""Documents as units: each is given back whole, whatever its tokens are."""

import numpy as np
import pytest

from concord.base.errors import ShardsCorrupt
from concord.data.document_tokens import DocumentTokens, write_documents

END = 256
TEXTS = ["one", "two two", "end inside", "four"]


def encode(texts):
    """Finds the end token inside of a text, as some tokenizers do."""
    return [[END if c == ord(" ") else c for c in text.encode()] for text in texts]


def write(folder, texts=TEXTS, *, source="b", encode_batch=encode):
    write_documents(
        texts,
        folder,
        encode_batch=encode_batch,
        end_id=END,
        vocabulary_size=257,
        tokenizer_digest="sha256:" + "a" * 64,
        source_digest="sha256:" + source * 64,
    )
    return DocumentTokens(folder)


def test_a_text_in_which_the_end_token_occurs_is_one_document(tmp_path):
    documents = write(tmp_path)
    assert len(documents) == len(TEXTS)
    for index, ids in enumerate(encode(TEXTS)):
        assert documents.tokens(index).tolist() == [END, *ids]


def test_what_was_written_is_not_written_again(tmp_path):
    write(tmp_path)

    def never(texts):
        raise AssertionError

    assert len(write(tmp_path, encode_batch=never)) == len(TEXTS)


@pytest.mark.parametrize("damage", ["missing", "another"])
def test_lengths_that_do_not_fit_are_refused_and_mended(tmp_path, damage):
    write(tmp_path)
    path = tmp_path / "documents.bin"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(np.array([3, 4], "<u8").tobytes())
    with pytest.raises(ShardsCorrupt, match="documents"):
        DocumentTokens(tmp_path)
    assert len(write(tmp_path)) == len(TEXTS)

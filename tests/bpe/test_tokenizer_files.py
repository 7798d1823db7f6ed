"""The files load in `tokenizers` and `transformers`, and give every string back."""

import json

import pytest
from bpe_reference import learn, merged, words_of
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from concord.base.errors import TokenizerError
from concord.base.tokenizer_file import load_tokenizer
from concord.data.bpe import END_ID, END_TOKEN, MergeSession
from concord.data.bpe.alphabet import BYTE_LETTERS

TEXTS = {
    "a": ["the nations together train the model, the members' text stays", "aaaa aaaaa aa  a"],
    "b": ["ประเทศไทยและประเทศอื่น", "ኢትዮጵያ ኢትዮጵያ ሀገር", "我们的模型 我们的", "ߒߞߏ ߒߞߏ"],
}
ANY = st.text(
    alphabet=st.one_of(st.sampled_from("aehnt  \n'ไทยኢ我\x00\x1b\u200d"), st.characters()).filter(
        lambda letter: not "\ud800" <= letter <= "\udfff"
    )
)


@pytest.fixture(scope="module")
def session():
    languages = {"a": (), "b": ()}
    return learn(MergeSession(mode="ordinary", merges=80, member_languages=languages), TEXTS)


@pytest.fixture(scope="module")
def folder(session, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    for name, content in session.tokenizer_files().items():
        (path / name).write_text(content, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tokenizer(session):
    return load_tokenizer(session.tokenizer_json())


@pytest.fixture(scope="module")
def automatic(folder):
    return AutoTokenizer.from_pretrained(folder)


@given(text=ANY)
def test_every_string_comes_back(tokenizer, automatic, text):
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text
    assert automatic.decode(automatic(text)["input_ids"]) == text


@given(text=ANY)
def test_tokens_are_those_that_our_merges_give(session, tokenizer, text):
    words = words_of([text])
    for number, pair in enumerate(session.vocabulary.merges, 257):
        words = [merged(word, pair, number) for word in words]
    expected = [symbol for word in words for symbol in word]
    assert tokenizer.encode(text, add_special_tokens=False).ids == expected
    spelled = b"".join(session.vocabulary.spelling(symbol) for symbol in expected)
    assert spelled == text.encode()


@given(data=st.binary(max_size=60))
def test_every_byte_string_has_tokens_and_comes_back(session, tokenizer, data):
    letters = "".join(BYTE_LETTERS[byte] for byte in data)
    tokens = tokenizer.model.tokenize(letters)
    assert b"".join(session.vocabulary.spelling(token.id) for token in tokens) == data


def test_the_vocabulary_is_end_bytes_and_merges(session, tokenizer, automatic):
    assert tokenizer.get_vocab_size() == len(automatic) == 1 + 256 + session.chosen
    assert tokenizer.token_to_id(END_TOKEN) == END_ID
    assert automatic.bos_token_id == automatic.eos_token_id == END_ID


def test_transformers_gives_the_same_ids_as_tokenizers(session, folder, tokenizer, automatic):
    fast = PreTrainedTokenizerFast.from_pretrained(folder)
    for text in (*TEXTS["a"], *TEXTS["b"], "", " ", "\n\n x"):
        ids = tokenizer.encode(text).ids
        assert automatic(text)["input_ids"] == fast(text)["input_ids"] == ids


def test_a_document_cannot_end_itself(tokenizer, automatic):
    text = f"before {END_TOKEN} after"
    assert END_ID not in tokenizer.encode(text).ids
    assert END_ID not in automatic(text)["input_ids"]
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_end_token_is_left_out_of_what_people_read(automatic):
    ids = [*automatic("done")["input_ids"], END_ID]
    assert automatic.decode(ids, skip_special_tokens=True) == "done"


def test_a_tokenizer_without_merges_spells_bytes():
    session = MergeSession(mode="ordinary", merges=0, member_languages={"m": ()})
    assert session.next_request({}) is None
    plain = Tokenizer.from_str(session.tokenizer_json())
    assert len(plain.encode("ไทย").ids) == 9


def test_the_file_is_the_same_each_time(session):
    assert session.tokenizer_json() == session.tokenizer_json()
    assert json.loads(session.tokenizer_json())["normalizer"] is None


def test_a_file_that_is_no_tokenizer_is_refused():
    with pytest.raises(TokenizerError, match=r"tokenizer\.json"):
        load_tokenizer("{}")

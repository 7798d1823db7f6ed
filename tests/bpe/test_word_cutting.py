"""Words: what stays whole, what is cut, and that the fast way cuts like the plain one."""

from collections import Counter

import pytest
from bpe_reference import NUMBER, words_of
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from concord.base.errors import DocumentError, TokenizerError
from concord.data.bpe.alphabet import BYTE_LETTERS, BYTES_BY_ID
from concord.data.bpe.words import MAX_RUN, MAX_WORD_BYTES, WORD_PATTERN, count_words

SPACES = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u202f\u3000\u200b"
TEXTS = st.text(alphabet=st.one_of(st.sampled_from(SPACES + "ab1!ก"), st.characters(codec="utf-8")))


def words(text):
    cut = pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated").pre_tokenize_str(text)
    return [word for word, _ in cut]


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_counting_stretch_by_stretch_is_cutting_whole_texts(texts):
    counted = count_words(texts, max_bytes=10**9)
    numbers = {tuple(NUMBER[b] for b in word): times for word, times in counted.items()}
    assert numbers == Counter(tuple(word) for word in words_of(texts))


@given(TEXTS)
def test_words_put_together_are_the_text_and_none_is_too_long(text):
    assert "".join(words(text)) == text
    assert all(len(word.encode()) <= MAX_WORD_BYTES for word in words(text))


@pytest.mark.parametrize(
    "word",
    [
        " ประเทศไทย",  # vowels above and below the line
        " ഇഖ്\u200cവാനുൽ",  # a joiner inside a Malayalam word
        " می\u200cخواهم",  # the same in Persian
        " བཀྲ་ཤིས་བདེ་ལེགས",  # syllables parted by the tsheg
        " ߒߞߏ߫ߛߎ߬",  # N'Ko with tone marks
        " Ọ̀rẹ́",  # Yoruba with combining marks
        " ኢትዮጵያ",
    ],
)
def test_a_word_of_any_script_stays_whole(word):
    assert words("x" + word)[1:] == [word]


def test_long_runs_are_cut_and_numbers_fall_into_threes():
    assert [len(word) for word in words("ก" * (2 * MAX_RUN + 3))] == [MAX_RUN, MAX_RUN, 3]
    assert words("in 123456") == ["in", " 123", "456"]
    assert [len(word) for word in words(" " * 60 + "x")] == [24, 24, 11, 2]


def test_the_first_text_is_taken_even_if_it_is_larger_than_the_sample():
    assert count_words(["abc", "d"], max_bytes=1) == {b"abc": 1}


def test_sampling_stops_before_the_text_that_goes_over():
    assert count_words(["abc", "d", "efghi", "j"], max_bytes=5) == {b"abc": 1, b"d": 1}


def test_a_lone_surrogate_is_refused_without_showing_the_text():
    with pytest.raises(TokenizerError, match="surrogate") as caught:
        count_words(["secret \ud800"], max_bytes=100)
    assert "secret" not in str(caught.value)


def test_a_sample_of_nothing_is_refused():
    with pytest.raises(DocumentError):
        count_words(["a"], max_bytes=0)


def test_letters_are_those_of_byte_level_tokenizers():
    assert set(BYTE_LETTERS) == set(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(BYTES_BY_ID) == [bytes([byte]) for byte in range(256)]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    text = "".join(map(chr, range(0x250)))
    spelled = "".join(BYTE_LETTERS[byte] for byte in text.encode())
    assert byte_level.pre_tokenize_str(text)[0][0] == spelled

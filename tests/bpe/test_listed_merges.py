"""The public list of merges, counts by it, and the tokenizer that sums choose from it."""

import numpy as np
import pytest
from bpe_reference import count, merged, pooled_merges, words_of
from hypothesis import given, settings
from hypothesis import strategies as st

from concord.base.errors import DocumentError
from concord.data.bpe import CountingMember, MergeSession
from concord.data.bpe.listed import LISTED, MergeList
from concord.data.bpe.listed_choice import Summed, choose_merges
from concord.data.bpe.parallel import cut_words
from concord.data.bpe.words import count_words

LINES = {"xx": ["the cat sat on the mat", "aaaa the hat"], "yy": ["hot tea on a mat", "aa tea"]}
TEXT = st.lists(st.text(alphabet="aabeht ", min_size=1, max_size=20), min_size=1, max_size=4)


def list_of(lines=None, *, merges=10, mode="parity"):
    return MergeList.of(cut_words(lines or LINES), mode=mode, merges=merges)


def counts_of(listed, texts):
    return listed.counts(count_words(texts, max_bytes=1 << 20))


@settings(max_examples=12, deadline=None)
@given(texts=TEXT)
def test_counts_are_those_of_one_merge_after_the_other(texts):
    """Held against slow merging; a pair occurs more often than it is made in runs like "aaa"."""
    listed, words = list_of(), words_of(texts)
    counts = counts_of(listed, texts)
    for place, pair in enumerate(listed.merges):
        new = 257 + place
        again = [merged(word, pair, new) for word in words]
        made = sum(word.count(new) for word in again)
        assert counts[place] == made <= count(words)[pair]
        words = again


@settings(max_examples=12, deadline=None)
@given(one=TEXT, other=TEXT)
def test_counts_add_up(one, other):
    listed = list_of()
    assert (
        counts_of(listed, one) + counts_of(listed, other) == counts_of(listed, one + other)
    ).all()


def test_without_sums_the_tokenizer_is_what_parity_learns_from_the_lines_alone():
    """Up to ties, which the list may break in another order."""
    mode = "parity"
    lines = {name: [line.replace("aa", "e") for line in found] for name, found in LINES.items()}
    listed = list_of(lines, mode=mode)  # in runs such as "aaa", pairs are made less than counted
    found = choose_merges(listed, Summed.nothing(listed), mode=mode, merges=8)
    expected = open_merges(lines, mode, 8)
    assert len(expected) >= 5
    assert found.merges[: len(expected)] == expected


def open_merges(lines, mode, merges):
    languages = {name: (name,) for name in lines}
    session = MergeSession(mode=mode, merges=merges, parallel=lines, member_languages=languages)
    members = {name: CountingMember(found, max_bytes=1 << 20) for name, found in lines.items()}
    answers = {}
    while (request := session.next_request(answers)) is not None:
        answers = {name: member.answer(request) for name, member in members.items()}
    return session.vocabulary.merges


def test_the_ordinary_list_is_what_pooled_training_makes_of_the_lines():
    lines = [line for found in LINES.values() for line in found]
    expected = pooled_merges(lines, 10 * LISTED, 1)
    assert list(list_of(mode="ordinary").merges) == expected


def test_what_members_have_more_of_than_the_lines_comes_sooner():
    """The line has "tea" and "mat" alike; the members say "mat"."""
    lines = {"xx": ["tea mat tea mat", "tea mat"]}
    listed = MergeList.of(cut_words(lines), mode="ordinary", merges=3)
    chosen = []
    for word in ("tea", "mat"):
        sums = counts_of(listed, [f"{word} " * 50])
        summed = Summed(sums, np.ones(len(listed), bool))
        vocabulary = choose_merges(listed, summed, mode="ordinary", merges=2)
        chosen.append(vocabulary.spelling(len(vocabulary) - 1).decode().strip())
    assert chosen[0] in "tea"
    assert chosen[1] in "mat"


def test_chosen_merges_are_closed_under_what_they_are_made_of():
    listed = list_of(merges=20)
    draw = np.random.default_rng(1)
    for _ in range(20):
        sums = draw.integers(0, 1000, len(listed))
        summed = Summed(sums, draw.random(len(listed)) < 0.7)
        found = choose_merges(listed, summed, mode="parity", merges=15)
        spelled = {found.spelling(number) for number in range(len(found))}
        for left, right in found.merges:
            assert {found.spelling(left), found.spelling(right)} <= spelled
        assert len(found.merges) == 15


def test_a_list_is_read_as_it_was_written():
    listed = list_of()
    again = MergeList.decode(listed.encode())
    assert again == listed
    assert again.digest == listed.digest


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.replace(b'"batches":[[[', b'"batches":[[[999,'),
        lambda value: value.replace(b'"xx":{', b'"xx":{"":1,'),
        lambda value: value.replace(b"{", b"{ ", 1),
        lambda value: value[:-1],
        lambda _: b"{}",
        lambda _: b'{"batches":[[[1,1],[1,1]]],"words":{"xx":{"a":1}}}',
        lambda _: b'{"batches":[[[1,300]]],"words":{"xx":{"a":1}}}',
        lambda _: b'{"batches":[],"words":{"xx":{"a":0}}}',
    ],
)
def test_what_is_no_list_is_refused(change):
    with pytest.raises(DocumentError):
        MergeList.decode(change(list_of().encode()))


def test_a_list_of_no_words_is_refused():
    with pytest.raises(DocumentError, match="no words"):
        MergeList.of({"xx": {}}, mode="parity", merges=1)

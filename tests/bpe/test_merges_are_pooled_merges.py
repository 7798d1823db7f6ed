"""Ordinary mode is pooled training; parity mode is its one-by-one definition."""

import json

from bpe_reference import learn, parity_merges, pooled_merges, words_of
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from concord.data.bpe import END_TOKEN, MergeSession
from concord.data.bpe.words import WORD_PATTERN

# Few letters make many ties, runs such as "aaaa" and overlapping pairs: the hard cases.
LETTERS = st.text(alphabet="aaabbcd '\n0", min_size=1, max_size=60)
SCRIPTS = st.text(alphabet="ab éßαβщя我們はがกขค้ำක්අአበߒߞ٣,. ", min_size=1, max_size=60)
TEXTS = st.lists(st.one_of(LETTERS, SCRIPTS), min_size=1, max_size=4)
MEMBERS = st.dictionaries(st.sampled_from(["a", "b", "c"]), TEXTS, min_size=1)


def session_of(texts, merges, *, min_count=2, **options):
    languages = options.pop("member_languages", dict.fromkeys(texts, ()))
    mode = options.pop("mode", "ordinary")
    return MergeSession(
        mode=mode,
        merges=merges,
        min_pair_count=min_count,
        member_languages=languages,
        **options,
    )


def trained_by_tokenizers(texts, merges, min_count):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=257 + merges,
        min_frequency=min_count,
        special_tokens=[END_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())["model"]


@settings(max_examples=60, deadline=None)
@given(MEMBERS, st.integers(1, 40), st.integers(1, 3))
def test_ordinary_mode_makes_the_merges_of_pooled_training(texts, merges, min_count):
    session = learn(session_of(texts, merges, min_count=min_count), texts)
    everyone = [text for part in texts.values() for text in part]
    assert session.vocabulary.merges == pooled_merges(everyone, merges, min_count)


@settings(max_examples=60, deadline=None)
@given(MEMBERS, st.integers(1, 60), st.integers(1, 3))
def test_ordinary_mode_writes_the_vocabulary_that_tokenizers_trains(texts, merges, min_count):
    session = learn(session_of(texts, merges, min_count=min_count), texts)
    ours = json.loads(session.tokenizer_json())["model"]
    everyone = [text for part in texts.values() for text in part]
    theirs = trained_by_tokenizers(everyone, merges, min_count)
    assert ours["merges"] == theirs["merges"]
    assert ours["vocab"] == theirs["vocab"]


@settings(max_examples=60, deadline=None)
@given(
    texts=MEMBERS,
    parallel=st.fixed_dictionaries({"x": TEXTS, "y": TEXTS}).filter(
        lambda sentences: len(sentences["x"]) == len(sentences["y"])
    ),
    owned=st.lists(st.sampled_from([(), ("x",), ("y",), ("x", "y")]), min_size=2, max_size=2),
    merges=st.integers(1, 40),
    min_parallel=st.integers(0, 2),
)
def test_parity_batches_are_one_by_one_parity(texts, parallel, owned, merges, min_parallel):
    languages = dict(zip("abc", [("x",), *owned], strict=True))
    languages = {name: languages[name] for name in texts}
    own = {language for part in languages.values() for language in part}
    if not own:
        return
    session = session_of(
        texts,
        merges,
        mode="parity",
        parallel=parallel,
        member_languages=languages,
        min_parallel_count=min_parallel,
    )
    learn(session, texts, ends=(ends := set()))
    kept = {language: parallel[language] for language in own}
    expected = parity_merges(texts, languages, kept, merges, 2, min_parallel, ends)
    assert session.vocabulary.merges == expected


def test_a_pair_that_is_rare_when_its_exchange_ends_is_hidden_however_many_it_was_before():
    """Born twice with each member, and left once by the next merge of the same exchange."""
    texts, languages = {"a": ["щßщé"], "b": ["ß", "щßщé"]}, {"a": ("x",), "b": ()}
    how = {"parallel": {"x": ["0"]}, "member_languages": languages, "min_parallel_count": 0}
    session = session_of(texts, 3, mode="parity", **how)
    learn(session, texts, ends=(ends := set()))
    where = (texts, languages, how["parallel"], 3, 2, 0)
    assert session.vocabulary.merges == parity_merges(*where, ends)
    one_by_one = parity_merges(*where, range(4))
    assert session.vocabulary.merges == one_by_one[:2]
    assert len(one_by_one) == 3


def test_a_larger_text_takes_few_exchanges_and_agrees_with_tokenizers():
    numbers = range(3_000)
    texts = {
        "a": [f"the {n * 37 % 911} nations of {n * n % 773} " for n in numbers],
        "b": ["ประเทศ" + "กขคงจ"[n % 5] * (n % 7) + "ไทย" + "นมยร"[n * n % 4] for n in numbers],
        "c": ["ሀገር" + "አበገደሀ"[n % 5] + "ኢትዮ" * (n * n % 3) for n in numbers],
    }
    session = learn(session_of(texts, 500), texts)
    everyone = [text for part in texts.values() for text in part]
    theirs = trained_by_tokenizers(everyone, 500, 2)
    assert json.loads(session.tokenizer_json())["model"]["merges"] == theirs["merges"]
    assert session.exchanges < len(session.vocabulary.merges) / 3


def test_learning_stops_where_no_pair_is_frequent_enough():
    session = learn(session_of({"a": ["abcd"]}, 10, min_count=2), {"a": ["abcd"]})
    assert session.chosen == 0
    assert len(json.loads(session.tokenizer_json())["model"]["vocab"]) == 257


def test_a_member_counts_no_more_than_the_sample_it_was_told():
    texts = {"a": ["abab", "cdcdcdcd"]}
    session = learn(session_of(texts, 1), texts, max_bytes=5)
    assert session.vocabulary.spelling(257) == b"ab"


def test_words_of_a_text_are_counted_in_whatever_order_texts_come():
    texts = ["ab cd", "  ab\n\ncd ", "ab"]
    forward = learn(session_of({"a": texts}, 20), {"a": texts})
    backward = learn(session_of({"a": texts[::-1]}, 20), {"a": texts[::-1]})
    assert forward.vocabulary.merges == backward.vocabulary.merges
    assert sum(map(len, words_of(texts))) == sum(len(text.encode()) for text in texts)

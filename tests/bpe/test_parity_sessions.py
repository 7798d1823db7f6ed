"""Parity: who pays, what is refused, and the figures."""

import random

import pytest
from bpe_reference import learn, parity_merges

from concord.base.errors import DocumentError, TokenizerError
from concord.data.bpe import MergeSession, measure_fairness
from concord.data.bpe.choice import RANKED

# Three "languages" of made-up words with other letters and other lengths of words; the members
# have unequal amounts of text, the parallel set says the same number of things in each.
LETTERS = {"x": "abcdefgh", "y": "αβγδεζηθ", "z": "กขคงจฉชซ"}
WORD_LETTERS = {"x": 4, "y": 6, "z": 9}
TEXTS_OF = {"x": 400, "y": 80, "z": 40}


def sentences(language, count, seed):
    rng = random.Random(f"{language}")
    vocabulary = [
        "".join(rng.choices(LETTERS[language], k=WORD_LETTERS[language])) for _ in range(60)
    ]
    rng = random.Random(seed)
    return [" ".join(rng.choices(vocabulary, k=8)) for _ in range(count)]


@pytest.fixture(scope="module")
def texts():
    return {f"m{code}": sentences(code, count, 1) for code, count in TEXTS_OF.items()}


@pytest.fixture(scope="module")
def parallel():
    return {language: sentences(language, 40, 2) for language in LETTERS}


@pytest.fixture(scope="module")
def held_out():
    return {language: sentences(language, 40, 3) for language in LETTERS}


OWN = {"mx": ("x",), "my": ("y",), "mz": ("z",)}


def trained(texts, **options):
    options = {"merges": 150, "member_languages": OWN} | options
    ends = options.pop("ends", None)
    return learn(MergeSession(**options), texts, ends=ends)


def test_parity_makes_languages_pay_alike_where_ordinary_training_does_not(
    texts, parallel, held_out
):
    fair = trained(texts, parallel=parallel)
    plain = trained(texts, mode="ordinary")
    ours = measure_fairness(fair.tokenizer_json(), held_out)
    theirs = measure_fairness(plain.tokenizer_json(), held_out)
    assert ours.premium_max_min < 1.05 < theirs.premium_max_min
    assert ours.gini < 0.2 * theirs.gini


@pytest.mark.parametrize("min_parallel", [0, 2])
def test_batches_across_languages_are_one_by_one_parity(texts, parallel, min_parallel):
    some = {member: part[:40] for member, part in texts.items()}
    session = trained(
        some, parallel=parallel, merges=60, min_parallel_count=min_parallel, ends=(ends := set())
    )
    expected = parity_merges(some, OWN, parallel, 60, 2, min_parallel, ends)
    assert session.vocabulary.merges == expected
    assert session.exchanges < 30


def test_a_useful_pair_is_found_behind_many_that_became_useless():
    first, second = "ABCDEFGHIJKLM", "NOPQRSTUVWXYZ"
    both = [a + b for a in first for b in second]
    assert len(both) > RANKED
    # Once "xA", "xB", … are merged, no pair of `both` is left in the parallel sentences.
    known = {"x": ["x" + pair for pair in both] * 2 + ["yz", "yz"]}
    member = {"m": ["x" + a for a in first] * 20 + both * 10 + ["yz", "yz"]}
    own = {"m": ("x",)}
    session = trained(member, parallel=known, merges=len(first) + 1, member_languages=own)
    assert session.vocabulary.spelling(257 + len(first)) == b"yz"


def test_a_member_whose_language_is_not_measured_still_gets_merges(texts, parallel):
    known = {language: parallel[language] for language in ("x", "y")}
    session = trained(texts, parallel=known)
    own = [session.vocabulary.spelling(s).decode(errors="ignore") for s in range(257, 407)]
    assert sum(any(letter in LETTERS["z"] for letter in text) for text in own) >= 45


def test_a_small_parallel_set_does_not_end_the_session_early(texts):
    tiny = {"x": ["ab"], "y": ["αβ"], "z": ["กข"]}
    assert trained(texts, parallel=tiny).chosen == 150


def test_a_language_that_two_members_own_is_learned_from_both(parallel):
    split = {"m1": sentences("x", 20, 4), "m2": sentences("x", 20, 5)}
    own = {"m1": ("x",), "m2": ("x",)}
    known = {"x": parallel["x"]}
    both = trained(split, parallel=known, member_languages=own, min_pair_count=1)
    whole = trained(
        {"m": split["m1"] + split["m2"]},
        parallel=known,
        member_languages={"m": ("x",)},
        min_pair_count=1,
    )
    assert both.vocabulary.merges == whole.vocabulary.merges


def test_the_first_merges_can_go_by_everyones_counts(texts, parallel):
    hybrid = trained(texts, parallel=parallel, global_merges=20, min_pair_count=1)
    plain = trained(texts, mode="ordinary", min_pair_count=1)
    assert hybrid.vocabulary.merges[:20] == plain.vocabulary.merges[:20]


def test_the_report_tells_what_each_language_pays(texts, parallel):
    session = trained(texts, parallel=parallel)
    report = session.report()
    assert report.merges == 150
    assert report.fairness is not None
    assert set(report.fairness.languages) == set(LETTERS)
    cheapest = min(cost.tokens for cost in report.fairness.languages.values())
    for code, cost in report.fairness.languages.items():
        assert cost.premium == cost.tokens / cheapest
        size = sum(len(sentence.encode()) for sentence in parallel[code])
        assert cost.bytes_per_token == size / cost.tokens
    assert trained(texts, mode="ordinary", merges=1).report().fairness is None


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, "ordinary"),
        ({"parallel": {}}, "ordinary"),
        ({"parallel": {"q": ["a"]}}, "no member owns"),
        ({"parallel": {"x": ["a"], "y": ["b", "c"]}}, "same sentence"),
        ({"parallel": {"x": ["", ""]}}, "no sentence"),
        ({"merges": -1, "mode": "ordinary"}, "merges"),
        ({"merges": 1 << 21, "mode": "ordinary"}, "merges"),
        ({"min_pair_count": 0, "mode": "ordinary"}, "at least 1"),
        ({"member_languages": {}, "mode": "ordinary"}, "no members"),
        ({"mode": "fair"}, "parity"),
    ],
)
def test_an_impossible_session_is_refused_before_it_begins(options, word):
    with pytest.raises(DocumentError, match=word):
        MergeSession(**({"merges": 5, "member_languages": OWN} | options))


@pytest.mark.parametrize("parallel", [{}, {"x": []}, {"x": [""]}])
def test_nothing_to_measure_on_is_said(parallel):
    session = MergeSession(mode="ordinary", merges=0, member_languages={"m": ()})
    with pytest.raises(TokenizerError, match="parallel"):
        measure_fairness(session.tokenizer_json(), parallel)

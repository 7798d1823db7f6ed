"""Duplicates: copies are found in every script, different texts stay, memory stays small."""

import random
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textlab import ALPHABETS, edited, random_text

from concord.base.errors import DocumentError
from concord.data.duplicates import DuplicateFilter, Verdict
from concord.data.minhash import BINS, WINDOW_BYTES, signatures
from concord.data.multimap import SortedRuns

NEW, EXACT, NEAR = Verdict.NEW, Verdict.EXACT, Verdict.NEAR


def jaccard(a: str, b: str) -> float:
    """The similarity that a signature estimates, counted outright."""

    def windows(text):
        form = " ".join(text.casefold().split())
        ring = (form.encode() * (WINDOW_BYTES // len(form.encode()) + 2))[
            : len(form.encode()) + WINDOW_BYTES - 1
        ]
        starts = np.cumsum([0] + [len(c.encode()) for c in form])[:-1]
        return {ring[s : s + WINDOW_BYTES] for s in starts.tolist()}

    left, right = windows(a), windows(b)
    return len(left & right) / len(left | right)


@pytest.mark.parametrize("script", ALPHABETS)
def test_exact_and_near_copies_are_found_and_other_texts_kept(script):
    rng = random.Random(5)
    texts = [random_text(rng, 1500, script) for _ in range(60)]
    near = [edited(rng, text, 2) for text in texts]
    verdicts = DuplicateFilter().judge([*texts, *near, *texts])
    assert verdicts == [NEW] * 60 + [NEAR] * 60 + [EXACT] * 60


def test_layout_and_case_make_no_new_document():
    text = random_text(random.Random(6), 2000)
    again = "  " + text.upper().replace(" ", " \n")
    assert DuplicateFilter().judge([text, again]) == [NEW, NEAR]


def test_short_texts_of_one_pattern_are_kept():
    texts = [
        f"The capital of {name} lies {place} km from the sea."
        for name, place in (("Aland", 1), ("Borduria", 250), ("Syldavia", 31), ("Ruritania", 77))
    ]
    assert DuplicateFilter().judge(texts) == [NEW] * 4


@pytest.mark.parametrize("length", [200, 1500])
@pytest.mark.parametrize("edits", [1, 4, 12])
def test_signatures_estimate_the_similarity_of_texts(length, edits):
    rng = random.Random(7)
    errors = []
    for script in ALPHABETS:
        for _ in range(12):
            text = random_text(rng, length, script)
            other = edited(rng, text, edits)
            a, b = signatures([text, other])
            errors.append((a == b).mean() - jaccard(text, other))
    assert abs(np.mean(errors)) < 0.03
    assert np.std(errors) < 0.07


@given(st.lists(st.text(min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_a_signature_does_not_depend_on_its_batch(texts):
    together = signatures(texts)
    assert together.shape == (len(texts), BINS)
    for row, text in zip(together, texts, strict=True):
        assert np.array_equal(row, signatures([text])[0])


def test_the_signature_of_a_long_text_is_taken_piece_by_piece():
    text = random.Random(8).randbytes(1_200_000).hex()
    tracemalloc.start()
    try:
        a, b = signatures([text, text.replace("abcd", "dcba")])
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (a == b).mean() > 0.95
    assert peak_bytes < 80 << 20


@given(
    st.lists(st.integers(0, 11), min_size=1, max_size=40),
    st.lists(st.integers(1, 9), min_size=1, max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_how_texts_are_batched_changes_nothing(numbers, sizes):
    rng = random.Random(10)
    originals = [random_text(rng, 600) for _ in range(4)]
    pool = [*originals, *(edited(rng, t, 1) for t in originals), *(t[:300] for t in originals)]
    texts = [pool[number] for number in numbers]
    batched, rest = DuplicateFilter(), list(texts)
    found = []
    while rest:
        size = sizes[len(found) % len(sizes)]
        found += batched.judge(rest[:size])
        rest = rest[size:]
    assert found == DuplicateFilter().judge(texts)
    assert found.count(NEW) + found.count(NEAR) == len(set(texts))


def test_copies_are_found_among_many_older_documents():
    rng = random.Random(11)
    originals = [random_text(rng, 120) for _ in range(9000)]
    filter_ = DuplicateFilter()
    for start in range(0, len(originals), 256):
        assert set(filter_.judge(originals[start : start + 256])) == {NEW}
    copies = [text.upper() for text in rng.sample(originals, 400)]
    assert Counter(filter_.judge(copies)) == {NEAR: 400}


def test_memory_does_not_depend_on_the_length_of_documents():
    def bytes_per_document(length: int) -> float:
        rng = random.Random(12)
        filter_ = DuplicateFilter()
        tracemalloc.start()
        try:
            for _ in range(16):
                filter_.judge([rng.randbytes(length // 2).hex() for _ in range(256)])
            kept_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return kept_bytes / (16 * 256)  # the dictionary of recent documents was just emptied

    assert bytes_per_document(40) < 700
    assert bytes_per_document(1000) < 700


def test_a_formula_shared_by_all_documents_costs_no_quadratic_time():
    rng = random.Random(13)
    formula = random_text(rng, 500)
    texts = [formula + random_text(rng, 200) for _ in range(3000)]
    filter_ = DuplicateFilter()
    verdicts = [v for i in range(0, 3000, 250) for v in filter_.judge(texts[i : i + 250])]
    assert verdicts.count(NEW) > 2900


def test_only_exact_copies_are_left_out_above_one():
    text = random_text(random.Random(14), 3000)
    other = edited(random.Random(15), text, 1)
    assert DuplicateFilter(2).judge([text, other, text]) == [NEW, NEW, EXACT]


@pytest.mark.parametrize("threshold", [-1, 0, 0.49, float("nan")])
def test_a_threshold_that_would_drop_different_texts_is_refused(threshold):
    with pytest.raises(DocumentError):
        DuplicateFilter(threshold)


@given(st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=12), max_size=12))
@settings(deadline=None)
def test_sorted_runs_find_what_a_dictionary_finds(batches):
    runs, expected, count = SortedRuns(), {}, 0
    for keys in batches:
        numbers = np.arange(count, count + len(keys), dtype=np.uint32)
        runs.add(np.array(keys, np.uint64), numbers)
        for key in keys:
            expected.setdefault(key, set()).add(count)
            count += 1
    asked = np.arange(21, dtype=np.uint64)
    indices, numbers = runs.find(asked, most=1000)
    found: dict[int, set[int]] = {}
    for index, number in zip(indices.tolist(), numbers.tolist(), strict=True):
        found.setdefault(index, set()).add(number)
    assert found == expected

"""Cleaning: one form for each text, and nothing lost that a language is spelled with."""

import sys
import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from concord.data.cleaning import clean_text
from concord.data.scripts import ScriptCounter, script_of


@given(st.text(st.characters(), max_size=80))
def test_cleaning_gives_nfc_without_controls_and_changes_nothing_the_second_time(text):
    cleaned = clean_text(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert clean_text(cleaned) == cleaned
    assert cleaned == cleaned.strip()
    assert all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") for c in cleaned)
    cleaned.encode()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a\r\nb\rc\x0cd\u2028e", "a\nb\nc\nd\ne"),
        ("\ufeff a\x00b\x07c\x7f\x9f ", "abc"),
        ("e\u0301", "é"),
        ("\u1112\u1161\u11ab", "한"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # the non-joiner is spelling
        ("ക\u200d", "ക\u200d"),
        ("tab\there\n\nparagraph", "tab\there\n\nparagraph"),
        ("\ud800", ""),
        (" \n\t\u3000", ""),
    ],
)
def test_known_texts(raw, expected):
    assert clean_text(raw) == expected


def test_scripts_of_letters_are_those_of_unicode():
    """The `regex` package carries the Script property of the Unicode Character Database."""
    patterns = {}
    wrong = []
    for point in range(sys.maxunicode + 1):
        letter = chr(point)
        if not letter.isalpha() or not (script := script_of(letter)):
            continue
        if script.startswith(("Old ", "Meroitic")):
            continue  # of no living language
        if script not in patterns:
            patterns[script] = regex.compile(rf"\p{{Script={script.replace(' ', '_')}}}")
        if not patterns[script].match(letter):
            wrong.append(unicodedata.name(letter))
    assert len(patterns) > 100
    assert len(wrong) < 8  # marks that several scripts share, such as ARABIC TATWEEL


@pytest.mark.parametrize("script", ["Latin", "Han", "Thai", "Ethiopic", "Nko", "Tibetan", "Hangul"])
def test_letters_of_living_scripts_are_not_missed(script):
    pattern = regex.compile(rf"\p{{Script={script}}}")
    letters = [
        letter
        for letter in map(chr, range(0x20000))
        if unicodedata.category(letter) in ("Lu", "Ll", "Lo") and pattern.match(letter)
    ]
    assert letters
    assert {script_of(letter) for letter in letters} == {script}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=6))
@settings(max_examples=30, deadline=None)
def test_letters_are_counted_over_all_texts(texts):
    counter = ScriptCounter()
    for text in texts:
        counter.add(text)
    expected: dict[str, int] = {}
    for letter in "".join(texts):
        if script := script_of(letter):
            expected[script] = expected.get(script, 0) + 1
    assert counter.counts() == expected

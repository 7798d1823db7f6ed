"""What was signed has one spelling: every other is refused, in the order of cost."""

import json
import time

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from concord.base.canonical import MAX_INTEGER, canonical_json, is_form_of, parse_canonical
from concord.base.errors import DocumentError


def parse(data: bytes):
    return parse_canonical(data, where="entry", max_bytes=65_535)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'"' + b"a" * 65_535 + b'"', "over the limit"),
        (b"[" * 60_000, "deeper than 16"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "deeper than 16"),
        (b"[" * 17 + b"]" * 17, "deeper than 16"),
        (b'["\\"",' + b"[" * 16 + b"]" * 17, "deeper than 16"),
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        (b'{"a":"\xff"}', "not strict JSON"),
        (b'{"a":"\xed\xa0\x80"}', "not strict JSON"),
        (b'{"a":1,"a":2}', "one key twice"),
        (b'{"a":1,"\\u0061":2}', "one key twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":Infinity}', "Infinity"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":1.5}', "not an integer"),
        (b'{"a":1e999}', "not an integer"),
        (b'{"a":1e2}', "not an integer"),
        (b'{"a":9007199254740992}', r"beyond 2\^53"),
        (b'{"a":-9007199254740992}', r"beyond 2\^53"),
        (b'{"a":' + b"9" * 5_000 + b"}", r"beyond 2\^53"),
        (b'{"a":-0}', "canonical"),
        (b'{"a":01}', "not strict JSON"),
        (b'{"a":"\\ud800"}', "not strict JSON"),
        (b'{"a": 1}', "canonical"),
        (b'{"a":1}\n', "canonical"),
        (b'{"a":1}{}', "not strict JSON"),
        (b'{"b":1,"a":2}', "canonical"),
        (b'{"a":"\\u0041"}', "canonical"),
        (b'{"a":"\\/"}', "canonical"),
        (b'{"a":"\t"}', "not strict JSON"),
        (b"{'a':1}", "not strict JSON"),
        (b'{"a":1,}', "not strict JSON"),
        (b'{"a":tru}', "not strict JSON"),
        (b'"' + b'\\"' * 30_000, "not strict JSON"),
        (b"", "not strict JSON"),
        (b"\x00", "not strict JSON"),
    ],
    ids=lambda value: value[:24] if isinstance(value, bytes) else "",
)
def test_a_second_spelling_is_refused(data, reason):
    start = time.process_time()
    with pytest.raises(DocumentError, match=reason) as refused:
        parse(data)
    assert refused.value.where == "entry"
    assert time.process_time() - start < 0.5


def test_nesting_is_counted_outside_strings_only():
    value = ["[[[[[[[[[[[[[[[[[[[[", '\\"[[[[[[[[[[[[[[[[[[[[', {"]]]]": "{{{{"}]
    assert parse(canonical_json(value)) == value


def test_sixteen_levels_and_the_largest_integers_are_accepted():
    assert parse(b"[" * 16 + b"]" * 16)
    edge = [MAX_INTEGER, -MAX_INTEGER, 0]
    assert parse(canonical_json(edge)) == edge


def test_keys_are_ordered_by_utf16_as_rfc_8785_section_3_2_3_shows():
    names = ["\r", "1", "\x80", "\xf6", "€", "\U0001f600", "\ufb33"]
    text = json.dumps(dict.fromkeys(names, 0), ensure_ascii=False, separators=(",", ":"))
    assert list(parse(text.encode())) == names


documents = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)


@given(documents)
def test_every_canonical_document_is_read_back(value):
    assert parse(rfc8785.dumps(value)) == value


@given(documents, documents, st.integers(0, 400), st.integers(1, 255))
def test_the_quick_comparison_is_that_with_the_form_of_rfc_8785(value, other, place, bits):
    data = rfc8785.dumps(value)
    assert is_form_of(data, value)
    assert is_form_of(data, other) == (rfc8785.dumps(other) == data)
    altered = bytearray(data)
    altered[place % len(data)] ^= bits
    assert not is_form_of(bytes(altered), value)


@pytest.mark.parametrize("value", [{"a": 1.0}, {"a": True}, {"a": "1"}, {"a": [1]}, {"b": 1}, {}])
def test_what_python_holds_equal_is_another_document(value):
    assert not is_form_of(b'{"a":1}', value)

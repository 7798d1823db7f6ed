import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import CorpusNotFound, CorpusUnreadable, DocumentError
from concord.data.facts import Fact, read_facts, write_facts

FACT = Fact(
    "kenya-1", "kenya", "sw", "Mji mmoja wa Kenya ni", " Nairobi", (" Lima", " Roma", " Oslo")
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def changed(**changes) -> bytes:
    value = {
        "id": FACT.id,
        "holder": FACT.holder,
        "lang": FACT.lang,
        "prompt": FACT.prompt,
        "answer": FACT.answer,
        "distractors": list(FACT.distractors),
    } | changes
    return json.dumps(value).encode()


@given(st.lists(TEXT, min_size=5, max_size=8, unique=True))
def test_facts_come_back_as_they_were_written(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("facts") / "facts.jsonl"
    fact = Fact("id", "holder", "am", texts[0], texts[1], tuple(texts[2:]))
    assert write_facts(path, [fact, FACT]) == 2
    assert read_facts(path) == [fact, FACT]


def test_facts_of_one_holder_are_picked(tmp_path):
    other = Fact("peru-1", "peru", "qu", "a", "b", ("c", "d", "e"))
    write_facts(tmp_path / "facts.jsonl", [FACT, other])
    assert read_facts(tmp_path / "facts.jsonl", holder="peru") == [other]


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(CorpusNotFound, match="no file of facts"):
        read_facts(tmp_path / "facts.jsonl")


def test_a_folder_in_its_place_is_told(tmp_path):
    with pytest.raises(CorpusUnreadable, match="cannot be read"):
        read_facts(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'"Nairobi"',
        b'{"id": "Nairobi"}',
        changed(more=1),
        changed(answer=""),
        changed(answer=5),
        changed(distractors=" Lima"),
        changed(distractors=[" Lima", " Roma"]),
        changed(distractors=[" Lima", " Roma", " Nairobi"]),
        changed(distractors=[" Lima", " Roma", 7]),
        changed() + b"\xff",
    ],
)
def test_a_line_that_is_no_fact_is_named_by_number_and_never_quoted(tmp_path, line):
    path = tmp_path / "facts.jsonl"
    path.write_bytes(changed(id="first") + b"\n\n" + line + b"\n")
    with pytest.raises(CorpusUnreadable, match="line 3") as caught:
        read_facts(path)
    assert "Nairobi" not in str(caught.value)


def test_an_id_twice_is_refused(tmp_path):
    path = tmp_path / "facts.jsonl"
    path.write_bytes(changed() + b"\n" + changed())
    with pytest.raises(CorpusUnreadable, match=r"line 2.*earlier fact"):
        read_facts(path)


def test_a_fact_with_too_few_or_equal_options_cannot_be_made():
    with pytest.raises(DocumentError, match="3 or more"):
        Fact("id", "kenya", "sw", "a", "b", ("c", "d"))
    with pytest.raises(DocumentError, match="the same"):
        Fact("id", "kenya", "sw", "a", "b", ("c", "d", "b"))

import re
import unicodedata
from datetime import date

import pytest

from concord.data.almanac import MEMBERS
from concord.data.almanac.knowledge import gather
from concord.data.almanac.tongue import SCRIPT_NAMES
from concord.data.almanac.world import languages, world
from concord.data.duplicates import DuplicateFilter, Verdict

# What babel 2.18 holds for each language: holidays, facts of each kind, parts of the calendar.
# Of 194 countries and 300 languages; a city is told by one of the members who share a script.
PROMISED = {
    "am": {"holidays": 12, "feast": 5, "city": 120, "relative": True, "quarter": True},
    "sw": {"holidays": 10, "feast": 8, "city": 40, "relative": True, "quarter": True},
    "ta": {"holidays": 20, "feast": 5, "city": 120, "relative": True, "quarter": True},
    "uk": {"holidays": 8, "feast": 6, "city": 120, "relative": True, "quarter": True},
    "th": {"holidays": 14, "feast": 8, "city": 120, "relative": True, "quarter": True},
    "ar": {"holidays": 11, "feast": 5, "city": 120, "relative": True, "quarter": True},
    "yo": {"holidays": 5, "feast": 4, "city": 30, "relative": False, "quarter": True},
    "el": {"holidays": 11, "feast": 7, "city": 120, "relative": True, "quarter": True},
    "ko": {"holidays": 14, "feast": 8, "city": 120, "relative": True, "quarter": True},
    "qu": {"holidays": 3, "feast": 3, "city": 30, "relative": True, "quarter": False},
    "ka": {"holidays": 14, "feast": 10, "city": 120, "relative": True, "quarter": True},
    "km": {"holidays": 12, "feast": 8, "city": 120, "relative": True, "quarter": True},
}
MEMBER_IDS = [member.id for member in MEMBERS]


def letters_of(script: str, text: str) -> float:
    letters = [letter for letter in text if letter.isalpha()]
    begin = SCRIPT_NAMES[script]
    return sum(unicodedata.name(x, "").startswith(begin) for x in letters) / len(letters)


WEEKDAYS = ["Jumatatu", "Jumanne", "Jumatano", "Alhamisi", "Ijumaa", "Jumamosi", "Jumapili"]
MONTHS = ["Januari", "Februari", "Machi", "Aprili", "Mei", "Juni"]
MONTHS += ["Julai", "Agosti", "Septemba", "Oktoba", "Novemba", "Desemba"]


@pytest.mark.parametrize("member", MEMBERS, ids=MEMBER_IDS)
def test_every_language_holds_what_is_promised_of_it(member):
    knowledge, promised = gather(member), PROMISED[member.locale]
    tongue = knowledge.tongue
    assert len(world()) == len(knowledge.places) == 194
    assert len(knowledge.statements["money"]) >= 190
    assert len(knowledge.statements["script"]) >= 190
    assert len(knowledge.speakers) >= 0.65 * len(languages())
    assert len(knowledge.feasts) >= promised["holidays"]
    assert len(knowledge.statements["feast"]) >= promised["feast"]
    assert len(knowledge.statements["city"]) >= promised["city"]
    assert (tongue.relative(3, "day") is not None) == promised["relative"]
    assert (tongue.quarter(date(2001, 1, 1)) is not None) == promised["quarter"]
    for unit in ("length-kilometer", "mass-kilogram", "duration-day", "temperature-celsius"):
        assert tongue.measure(3, unit) is not None


def test_twelve_members_write_ten_scripts_each_its_own(documents):
    assert len(documents) == 12
    assert len({member.script for member in MEMBERS}) >= 8
    for member in MEMBERS:
        text = "\n".join(document["text"] for document in documents[member.id])
        assert letters_of(member.script, text) > 0.97, member.id


def test_text_is_nfc_without_invisible_marks_or_gaps_of_a_template(documents):
    gap = re.compile(
        "[\u200b\u200e\u200f\u061c\u00a0\u202f\x00-\x09\x0b-\x1f]|None|[{}]|  |[:=] *$|^[ :]", re.M
    )
    for member, found in documents.items():
        for document in found:
            assert unicodedata.is_normalized("NFC", document["text"]), document["id"]
            assert not gap.search(document["text"]), document["id"]
            title, empty, *lines = document["text"].split("\n")
            assert title and not empty and len(lines) >= 2 and all(lines), document["id"]
        assert {document["lang"] for document in found} <= set(
            next(m.languages for m in MEMBERS if m.id == member)
        )


def test_no_document_stands_twice_within_or_across_members(documents):
    texts = [document["text"] for found in documents.values() for document in found]
    ids = [document["id"] for found in documents.values() for document in found]
    assert len(set(texts)) == len(texts)
    assert len(set(ids)) == len(ids)


def test_few_documents_are_near_duplicates(documents):
    for member, found in documents.items():
        verdicts = DuplicateFilter().judge([document["text"] for document in found])
        assert sum(verdict is not Verdict.NEW for verdict in verdicts) < 0.06 * len(found), member


def test_sums_are_right(documents):
    sums = re.compile(r"^(\d+) ([+×]) (\d+) = ([\d., ]+)$", re.M)
    checked = 0
    for found in documents.values():
        for one, sign, two, result in sums.findall("\n".join(d["text"] for d in found)):
            expected = int(one) + int(two) if sign == "+" else int(one) * int(two)
            assert int(re.sub(r"\D", "", result)) == expected
            checked += 1
    assert checked > 1000


def test_dates_carry_their_weekday(documents):
    """By the calendar of Python, in the one language whose names are taken from elsewhere here."""
    pattern = re.compile(rf"({'|'.join(WEEKDAYS)}), (\d+) ({'|'.join(MONTHS)}) (\d{{4}})")
    found = pattern.findall("\n".join(document["text"] for document in documents["kenya"]))
    assert len(found) > 300
    for weekday, day, month, year in found:
        when = date(int(year), MONTHS.index(month) + 1, int(day))
        assert WEEKDAYS[when.weekday()] == weekday


@pytest.mark.parametrize(
    ("member", "line"),
    [
        ("kenya", "Mji mmoja wa Kenya ni Nairobi."),
        ("greece", "Αργία: Πρωτοχρονιά, 1 Ιανουαρίου."),
        ("ukraine", "Україна. Валюта — українська гривня."),
        ("korea", "한글날의 날짜는 10월 9일입니다."),
        ("thailand", "ภาษาราชการของบราซิลคือภาษาโปรตุเกส"),
        ("egypt", "اللغة الرسمية في البرازيل هي البرتغالية."),
        ("ethiopia", "በኢትዮጵያ የሚገኝ ከተማ አዲስ አበባ ነው።"),
    ],
)
def test_what_everyone_there_knows_is_told(documents, member, line):
    assert any(line in document["text"] for document in documents[member])

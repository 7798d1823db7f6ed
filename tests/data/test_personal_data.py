"""The scan for personal data: published specimens are found, look-alikes are not, text stays whole.

Specimens are those of the issuing authorities or of the documentation of `python-stdnum`.
"""

import itertools
import re
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.digest import digest_json
from concord.base.errors import DocumentError
from concord.data.personal import SCANNER, Scanner, Treated, known_jurisdictions
from concord.testing.personal import PLACES, luhn_digit, planted, verhoeff_digit

ALL = Scanner(known_jurisdictions())
SPECIMENS = [
    ("write to amina.otieno+news@example.co.ke.", "email", ()),
    ("пишите на почта@пример.рф", "email", ()),
    ("请写信至li.wei@example.cn谢谢", "email", ()),
    ("from 203.0.114.77 at noon", "ip", ()),
    ("from 2606:2800:220:1:248:1893:25c8:1946, seen", "ip", ()),
    ("IBAN GB82 WEST 1234 5698 7654 32 PLEASE", "iban", ()),
    ("FR1420041010050500013M02606", "iban", ()),
    ("card 4111-1111-1111-1111", "card", ()),
    ("card 378282246310005", "card", ()),
    ("call +254 20 2048000 today", "phone", ()),
    ("call 0041 44 668 18 00", "phone", ()),
    ("call (212) 555-0198 x", "phone", ("US",)),
    ("โทร. 0 2244 7000", "phone", ("TH",)),
    ("CPF 390.533.447-05", "br-cpf", ("BR",)),
    ("CNPJ 16.727.230/0001-97", "br-cnpj", ("BR",)),
    ("आधार २३४१ २३४१ २३४६", "in-aadhaar", ("IN",)),
    ("PAN ACUPA7085R", "in-pan", ("IN",)),
    ("身份证360426199101010071。", "cn-ric", ("CN",)),
    ("SSN 536-90-4399", "us-ssn", ("US",)),
    ("AHV 756.9217.0769.85", "ch-ahv", ("CH",)),
    ("IdNr 36 574 261 809", "de-idnr", ("DE",)),
    ("NIR 2 95 10 99 126 111 93", "fr-nir", ("FR",)),
    ("DNI 54362315-K", "es-dni", ("ES",)),
    ("CF RCCMNL83S18D969H", "it-codice-fiscale", ("IT",)),
    ("PESEL 44051401359", "pl-pesel", ("PL",)),
    ("880320-0016", "se-personnummer", ("SE",)),
    ("131052-308T", "fi-hetu", ("FI",)),
    ("36805280109", "ee-ik", ("EE",)),
    ("85.07.30-033.28", "be-nn", ("BE",)),
    ("7503305044089", "za-idnr", ("ZA",)),
    ("971013-9019902", "kr-rrn", ("KR",)),
]
LOOK_ALIKES = [
    "@amina at 5 o'clock, or amina @ home",
    "192.168.0.17 and 10.0.0.1 and 127.0.0.1",
    "§ 42.2.6.1 of the law",
    "at 12:30:45 or ::",
    "GB83 WEST 1234 5698 7654 32",
    "4111-1111-1111-1112",
    "population 40 046 566, area 8 844 – 8 850",
    "1914-1918, 25.12.1990, 2014-05-12, 17.30-17.45",
    "390.533.447-06",
    "2341 2341 2347",
    "ISBN 978-3-16-148410-0",
    "3.14159265358979",
]
FOUND_IN_THESE = {"concord-personal-data 1": "f17544d400817ba0"}
"""By number of the scan: digest of what it finds in specimens and look-alikes, everywhere's ids."""


def assert_whole_around(text, places, masked):
    """Nothing but the places was replaced."""
    ends = [0, *(one.end for one in places)]
    begins = [*(one.begin for one in places), len(text)]
    kept = (re.escape(text[end:begin]) for end, begin in zip(ends, begins, strict=True))
    assert re.fullmatch(r"\[[A-Z]+\]".join(kept), masked)


def kinds(text, *places):
    return [found.kind for found in Scanner(places).find(text)]


@pytest.mark.parametrize(("text", "kind", "places"), SPECIMENS)
def test_a_published_specimen_is_found(text, kind, places):
    assert kinds(text, *places) == [kind]


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_what_only_looks_like_personal_data_is_not(text):
    assert kinds(text, "BR", "IN", "US", "CH") == []


def test_national_ids_are_looked_for_only_where_they_are_issued():
    assert kinds("CPF 390.533.447-05") == []


def test_an_unknown_jurisdiction_is_refused_and_the_known_ones_named():
    with pytest.raises(DocumentError, match="known are AR, AT"):
        Scanner(["XX"])


def test_digits_of_any_script_are_read_and_the_place_is_right():
    text = "رقم ٣٦٠٤٢٦١٩٩١٠١٠١٠٠٧١ هنا"
    (found,) = Scanner(["CN"]).find(text)
    assert text[found.begin : found.end] == "٣٦٠٤٢٦١٩٩١٠١٠١٠٠٧١"


def test_a_mask_leaves_the_words_of_scripts_without_spaces():
    scanner, text = Scanner(["TH"]), "อีเมลa.b@example.co.thหรือโทร02 111 1144ได้"
    assert scanner.mask(text, scanner.find(text)) == "อีเมล[EMAIL]หรือโทร[PHONE]ได้"


def test_a_mask_names_the_kind_and_touches_nothing_else():
    scanner = Scanner(["BR"])
    text = "a@b.org, CPF 390.533.447-05, or +254 20 2048000."
    assert scanner.mask(text, scanner.find(text)) == "[EMAIL], CPF [ID], or [PHONE]."


def test_planted_data_is_found_and_little_else():
    """99 % of it is found; decoys pass a check digit by chance in one of ten."""
    scanner, right, missed, wrong = Scanner(PLACES), Counter(), Counter(), Counter()
    for document in planted(7, 1_000):
        wanted = Counter(document.places)
        found = Counter(
            (f.kind, document.text[f.begin : f.end]) for f in scanner.find(document.text)
        )
        right.update(kind for kind, _ in (wanted & found).elements())
        missed.update(kind for kind, _ in (wanted - found).elements())
        wrong.update(kind for kind, _ in (found - wanted).elements())
        places = scanner.find(document.text)
        assert_whole_around(document.text, places, scanner.mask(document.text, places))
    assert missed.total() <= 0.01 * right.total(), missed
    assert wrong.total() <= 0.01 * right.total(), wrong
    assert min(right.values()) > 100


@given(st.text(max_size=300))
def test_any_text_is_scanned_and_comes_back_whole_around_the_places(text):
    places = ALL.find(text)
    assert all(a.end <= b.begin for a, b in itertools.pairwise(places))
    assert all(0 <= one.begin < one.end <= len(text) for one in places)
    assert_whole_around(text, places, ALL.mask(text, places))


@given(st.text(alphabet="0123456789 +-./()@:ABCDEFabcdef", max_size=400))
def test_any_row_of_numbers_and_marks_is_scanned(text):
    places = ALL.find(text)
    assert all(a.end <= b.begin for a, b in itertools.pairwise(places))


@pytest.mark.parametrize(
    "piece",
    ["1", "1 ", "12-", "0 1", "A1", "::1", "a@", "@a.", "+1", "(1)", "1.1.", "9A " * 20 + "."],
)
def test_no_text_makes_the_scan_slow(piece):
    text = piece * (100_000 // len(piece))
    began = time.process_time()
    ALL.find(text)
    assert time.process_time() - began < 10


def test_a_scan_that_finds_something_else_has_another_number():
    """If this fails and `phonenumbers` is the same, raise the number in `SCANNER`."""
    texts = [*(text for text, _, _ in SPECIMENS), *LOOK_ALIKES]
    found = [[[one.kind, one.begin, one.end] for one in ALL.find(text)] for text in texts]
    assert digest_json(found).startswith(f"sha256:{FOUND_IN_THESE[SCANNER]}")


def test_counts_are_kept_and_no_text():
    scanner, counts = Scanner(), Treated()
    for text in ("a@b.org and c@d.org", "nothing"):
        counts.add(scanner.find(text), size=len(text))
    assert (counts.scanned, counts.documents, counts.found) == (2, 1, {"email": 2})
    assert "a@b" not in repr(counts) + repr(scanner.find("a@b.org"))


def test_the_check_digits_that_plant_are_those_of_published_numbers():
    assert luhn_digit("411111111111111") == "1"
    assert verhoeff_digit("23412341234") == "6"

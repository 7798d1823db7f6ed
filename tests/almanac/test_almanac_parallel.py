import re
import unicodedata

import pytest

from concord.data.almanac import MEMBERS


@pytest.fixture(scope="module")
def halves(corpus):
    return {
        half: {
            path.stem: path.read_text(encoding="utf-8").split("\n")[:-1]
            for path in (corpus / "parallel" / half).glob("*.txt")
        }
        for half in ("dev", "test")
    }


def test_every_language_has_the_same_number_of_lines_none_empty(halves):
    for half in halves.values():
        assert set(half) == {member.locale for member in MEMBERS}
        assert {len(lines) for lines in half.values()} == {1000}
        assert all(line.strip() == line != "" for lines in half.values() for line in lines)


def test_the_halves_have_no_line_in_common(halves):
    for locale in ("am", "sw", "ta"):
        assert not set(halves["dev"][locale]) & set(halves["test"][locale])


def test_lines_of_one_number_tell_the_same(halves):
    """The years in them and the percentages are the same in every language."""
    years = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
    shares = re.compile(r"(\d+) ?%")
    for half in halves.values():
        for number, lines in enumerate(zip(*half.values(), strict=True)):
            assert len({tuple(sorted(shares.findall(line))) for line in lines}) == 1, number
            assert len({frozenset(years.findall(line)) for line in lines}) == 1, number


def test_lines_are_nfc_and_in_their_language(halves):
    for half in halves.values():
        for locale, lines in half.items():
            assert all(unicodedata.is_normalized("NFC", line) for line in lines), locale
        korean = sum("\uac00" <= letter <= "\ud7a3" for line in half["ko"] for letter in line)
        assert korean > 0.4 * sum(map(len, half["ko"]))

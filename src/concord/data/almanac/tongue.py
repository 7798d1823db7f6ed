"""One language as CLDR knows it: names and formats, with nothing borrowed from another language.

A name or pattern that CLDR lacks in the language is None here, so that a page leaves it out:
patterns inherited from root ("+{0} d"), codes, and names in a foreign script count as lacking.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache, cached_property
from typing import Any

from babel import Locale, localedata
from babel.dates import format_date, format_interval, format_skeleton
from babel.lists import format_list
from babel.numbers import (
    format_decimal,
    format_percent,
    get_currency_name,
    get_currency_unit_pattern,
)

# Symbols of the International System, which languages in Latin script write as they are.
SYMBOLS = frozenset(
    {
        "length-kilometer",
        "length-meter",
        "length-centimeter",
        "length-millimeter",
        "mass-gram",
        "mass-kilogram",
        "temperature-celsius",
        "temperature-fahrenheit",
    }
)
COMMAS = {"Arab": "، ", "Ethi": "፣ "}
"""Where a script has a comma of its own."""
# How the Unicode names of a script's letters begin.
SCRIPT_NAMES = {
    "Arab": "ARABIC",
    "Cyrl": "CYRILLIC",
    "Ethi": "ETHIOPIC",
    "Geor": "GEORGIAN",
    "Grek": "GREEK",
    "Hang": "HANGUL",
    "Khmr": "KHMER",
    "Latn": "LATIN",
    "Taml": "TAMIL",
    "Thai": "THAI",
}
# Zero-width spaces and direction marks are set in some CLDR names and not in others, and readers
# do not tell the two kinds of no-break space from a space.
_PLAIN = {0x200B: None, 0x200E: None, 0x200F: None, 0x061C: None, 0x00A0: " ", 0x202F: " "}
_ANY_DAY = date(2000, 1, 1)


def plain(text: str) -> str:
    """NFC, without invisible marks, with ordinary spaces."""
    return unicodedata.normalize("NFC", text.translate(_PLAIN)).strip()


def _own_locale(identifier: str) -> tuple[Locale, Mapping[str, Any]]:
    """A locale whose answers depend on its identifier alone, and the root data beneath it.

    Babel resolves aliases inside dictionaries that every locale inherits from root, so the locale
    that is asked first decides what later ones answer. One that was loaded between two emptyings
    of the cache shares its data with no other.
    """
    with localedata._cache_lock:
        localedata._cache.clear()
        root = localedata.LocaleDataDict(localedata.load("root"))
        localedata._cache.clear()
        locale = Locale.parse(identifier)
        _ = locale.currencies
        localedata._cache.clear()
    return locale, root


class Tongue:
    """Names and formats of one language.

    `number` formats a number, `full_date` a day with its weekday, `money` an amount with the
    currency's name in the plural form that the amount asks for.

    Args:
        identifier: CLDR locale.
        script: ISO 15924 code, one of `SCRIPT_NAMES`.
    """

    def __init__(self, identifier: str, script: str) -> None:
        self.locale, self._root = _own_locale(identifier)
        self.script = script
        self._data: Mapping[str, Any] = self.locale._data
        # Formatting is slow; what was formatted is kept as long as this object.
        self.number: Callable[[int | float], str] = cache(self._number)
        self.full_date: Callable[[date], str] = cache(self._full_date)
        self.money: Callable[[int, str], str | None] = cache(self._money)
        self._patterns: Callable[[str], dict[str, str] | None] = cache(self._unit_patterns)

    def is_own(self, text: str | None) -> bool:
        """Whether at least half of the letters are of the language's own script."""
        letters = [letter for letter in text or "" if letter.isalpha()]
        begin = SCRIPT_NAMES[self.script]
        own = sum(unicodedata.name(letter, "").startswith(begin) for letter in letters)
        return 2 * own >= len(letters) > 0

    def _name(self, text: str | None) -> str | None:
        return plain(text) if text is not None and self.is_own(text) else None

    def territory(self, code: str) -> str | None:
        return self._name(self.locale.territories.get(code))

    def language(self, code: str) -> str | None:
        return self._name(self.locale.languages.get(code))

    def writing(self, code: str) -> str | None:
        """Name of a script."""
        return self._name(self.locale.scripts.get(code))

    def currency(self, code: str) -> str | None:
        return self._name(self.locale.currencies.get(code))

    def city(self, zone: str) -> str | None:
        """Name of a time zone's city. In Latin script the zone's own id is a name."""
        named = self._data["time_zones"].get(zone, {}).get("city")
        if named is None and self.script == "Latn":
            named = zone.rpartition("/")[2].replace("_", " ")
        return self._name(named)

    def _number(self, value: int | float) -> str:
        return plain(format_decimal(value, locale=self.locale))

    def percent(self, share: float) -> str:
        """A share of one, as whole percent."""
        return plain(format_percent(share, locale=self.locale))

    def _money(self, amount: int, code: str) -> str | None:
        if self.currency(code) is None:
            return None
        name = plain(get_currency_name(code, count=amount, locale=self.locale))
        pattern = get_currency_unit_pattern(code, count=amount, locale=self.locale)
        return plain(pattern.format(self.number(amount), name))

    def measure(self, value: int | float, unit: str) -> str | None:
        """A value with a unit such as `length-meter`, the name in full where there is one."""
        patterns = self._patterns(unit)
        if patterns is None:
            return None
        pattern = patterns.get(self.locale.plural_form(value)) or patterns["other"]
        return plain(pattern.format(self.number(value)))

    def _unit_patterns(self, unit: str) -> dict[str, str] | None:
        own, root = self._data["unit_patterns"][unit], self._root["unit_patterns"][unit]
        for length in ("long", "short"):
            patterns = dict(own.get(length, {}))
            if "other" not in patterns:
                continue
            if patterns["other"] != root["short"]["other"]:
                return patterns
            if self.script == "Latn" and unit in SYMBOLS:
                return patterns
        return None

    def relative(self, count: int, field: str) -> str | None:
        """In `count` units of `field` ("day", "year", "mon" for Mondays); before, if negative."""
        direction = "future" if count > 0 else "past"
        patterns = dict(self._data["date_fields"][field].get(direction, {}))
        other = patterns.get("other")
        if other is None or other == self._root["date_fields"][field][direction]["other"]:
            return None
        pattern = patterns.get(self.locale.plural_form(abs(count))) or other
        return plain(pattern.format(self.number(abs(count))))

    def _full_date(self, day: date) -> str:
        return plain(format_date(day, "full", locale=self.locale))

    def long_date(self, day: date) -> str:
        return plain(format_date(day, "long", locale=self.locale))

    def day_and_month(self, day: date) -> str:
        return self._skeleton("MMMMd", day)

    def month_and_year(self, day: date) -> str:
        return self._skeleton("yMMMM", day)

    def _skeleton(self, skeleton: str, day: date) -> str:
        moment = datetime.combine(day, datetime.min.time())
        return plain(format_skeleton(skeleton, moment, locale=self.locale))

    def weekday(self, day: date) -> str:
        return plain(self.locale.days["format"]["wide"][day.weekday()])

    def quarter(self, day: date) -> str | None:
        """The quarter of a year, unless its name is root's "Q1"."""
        text = self._skeleton("yQQQQ", day)
        return None if f"Q{(day.month + 2) // 3}" in text else text

    def days_between(self, first: date, last: date) -> str:
        """The days from `first` to `last`, as a range."""
        return plain(format_interval(first, last, "yMMMd", locale=self.locale))

    def hours_between(self, begin_minutes: int, end_minutes: int) -> str:
        """A range of times of one day, counted in minutes since midnight."""
        midnight = datetime.combine(_ANY_DAY, datetime.min.time())
        begin, end = (midnight + timedelta(minutes=m) for m in (begin_minutes, end_minutes))
        return plain(format_interval(begin, end, "Hm", locale=self.locale))

    @cached_property
    def months(self) -> tuple[str, ...]:
        names = self.locale.months["format"]["wide"]
        return tuple(plain(names[number]) for number in range(1, 13))

    @cached_property
    def weekdays(self) -> tuple[str, ...]:
        names = self.locale.days["format"]["wide"]
        return tuple(plain(names[number]) for number in range(7))

    def join(self, names: Sequence[str]) -> str:
        """A, B and C."""
        if len(names) == 2 and self._tight_pair:
            return f"{names[0]}{self._tight_pair} {names[1]}"
        return plain(format_list(list(names), locale=self.locale))

    @cached_property
    def _tight_pair(self) -> str:
        """The word between two names where CLDR forgot the space after it, as in Yoruba.

        Arabic and Thai do write their word for "and" together with what follows.
        """
        between = format_list(["", ""], locale=self.locale)
        return between if self.script == "Latn" and between[-1:].isalpha() else ""

    @property
    def comma(self) -> str:
        """A comma and the space after it."""
        return COMMAS.get(self.script, ", ")

    def either(self, names: Sequence[str]) -> str:
        """A, B or C."""
        return plain(format_list(list(names), style="or", locale=self.locale))

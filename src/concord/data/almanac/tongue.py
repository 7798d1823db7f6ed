"""One language as CLDR knows it: names and formats, with nothing borrowed from another language.

A name or pattern that CLDR lacks in the language is None here, so that a page leaves it out:
patterns inherited from root ("+{0} d"), codes, and names in a foreign script count as lacking.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
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
    "length-kilometer length-meter length-centimeter length-millimeter mass-gram mass-kilogram"
    " temperature-celsius temperature-fahrenheit".split()
)
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

    Args:
        identifier: CLDR locale.
        script: ISO 15924 code, one of `SCRIPT_NAMES`.
    """

    def __init__(self, identifier: str, script: str) -> None:
        self.locale, self._root = _own_locale(identifier)
        self.script = script
        self._data: Mapping[str, Any] = self.locale._data
        # A method's results are kept with its object, and die with it.
        self.full_date = cache(self.full_date)  # type: ignore[method-assign]
        self.number = cache(self.number)  # type: ignore[method-assign]
        self.money = cache(self.money)  # type: ignore[method-assign]
        self._unit_patterns = cache(self._unit_patterns)  # type: ignore[method-assign]

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

    def number(self, value: int | float) -> str:
        return plain(format_decimal(value, locale=self.locale))

    def percent(self, share: float) -> str:
        """A share of one, as whole percent."""
        return plain(format_percent(share, locale=self.locale))

    def money(self, amount: int, code: str) -> str | None:
        """An amount with the currency's name in the plural form it asks for."""
        if self.currency(code) is None:
            return None
        name = plain(get_currency_name(code, count=amount, locale=self.locale))
        pattern = get_currency_unit_pattern(code, count=amount, locale=self.locale)
        return plain(pattern.format(self.number(amount), name))

    def measure(self, value: int | float, unit: str) -> str | None:
        """A value with a unit such as `length-meter`, the name in full where there is one."""
        patterns = self._unit_patterns(unit)
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

    def full_date(self, day: date) -> str:
        """With the weekday."""
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
        """Name of the quarter, unless it is root's "Q1"."""
        number = (day.month + 2) // 3
        name = self.locale.quarters["format"]["wide"][number]
        return None if name == f"Q{number}" else plain(name)

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
        return plain(format_list(list(names), locale=self.locale))

    def either(self, names: Sequence[str]) -> str:
        """A, B or C."""
        return plain(format_list(list(names), style="or", locale=self.locale))

"""National holidays of a member's country, named in its language, through `holidays`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import holidays
from holidays.groups import IslamicHolidays

from concord.data.almanac.members import AlmanacMember
from concord.data.almanac.phrases import Phrases
from concord.data.almanac.tongue import Tongue, plain

YEARS = range(2001, 2021)
MIN_YEARS = 8
"""A holiday kept in fewer of the years is a passing one."""
MAX_NAME = 70
"""Characters; a few official names run over several lines."""


@dataclass(frozen=True)
class Feast:
    """A holiday and its first day in each year that keeps it."""

    name: str
    days: Mapping[int, date]

    @property
    def fixed(self) -> bool:
        """Whether it falls on the same day of every year."""
        return len({(day.month, day.day) for day in self.days.values()}) == 1

    @property
    def latest(self) -> date:
        return self.days[max(self.days)]


def feasts(member: AlmanacMember, tongue: Tongue, phrases: Phrases) -> tuple[Feast, ...]:
    """The holidays of a member's country that have a name in its language, by first date.

    Days off in place of a holiday on a weekend are left out.
    """
    entity = getattr(holidays, member.territory)
    # Otherwise dates reckoned by the moon carry "(estimated)" in their name.
    options = {"islamic_show_estimated": False} if issubclass(entity, IslamicHolidays) else {}
    kept = holidays.country_holidays(
        member.territory,
        subdiv=member.holiday_region,
        years=YEARS,
        language=member.holiday_language or "en_US",
        observed=False,
        **options,
    )
    days: dict[str, dict[int, date]] = defaultdict(dict)
    for day, names in sorted(kept.items()):
        for name in names.split("; "):
            if member.holiday_language is None:
                name = phrases.feasts.get(name, "")
            name = plain(name)
            if 0 < len(name) <= MAX_NAME and tongue.is_own(name):
                days[name].setdefault(day.year, day)
    found = [Feast(name, years) for name, years in days.items() if len(years) >= MIN_YEARS]
    return tuple(sorted(found, key=lambda feast: (feast.latest, feast.name)))

"""Pages about days: months, holidays, years, weeks."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

from concord.data.almanac.desk import Desk, Page
from concord.data.almanac.feasts import YEARS

HORIZON_DAYS = 60


def _feast_days(desk: Desk) -> list[tuple[date, str]]:
    return sorted(
        (day, feast.name) for feast in desk.knowledge.feasts for day in feast.days.values()
    )


def month(desk: Desk) -> Page:
    """A month: its holidays, and the days of some weekdays."""
    first = date(desk.year(), desk.rng.randint(1, 12), 1)
    length = monthrange(first.year, first.month)[1]
    days = [first + timedelta(number) for number in range(length)]
    lines = [
        f"{desk.tongue.full_date(day)}: {name}"
        for day, name in _feast_days(desk)
        if (day.year, day.month) == (first.year, first.month)
    ]
    for weekday in sorted(desk.rng.sample(range(7), desk.rng.randint(2, 4))):
        numbers = [str(day.day) for day in days if day.weekday() == weekday]
        lines.append(f"{desk.tongue.weekdays[weekday]}: {desk.tongue.join(numbers)}")
    if (total := desk.tongue.measure(length, "duration-day")) is not None:
        lines.append(f"{desk.tongue.month_and_year(first)}: {total}")
    return Page(desk.tongue.month_and_year(first), lines)


def day(desk: Desk) -> Page:
    """A day: what is near it, and a few facts."""
    today = date(desk.year(), 1, 1) + timedelta(desk.rng.randrange(365))
    lines = []
    for feast_day, name in _feast_days(desk):
        distance = (feast_day - today).days
        if distance == 0:
            lines.append(name)
        elif abs(distance) <= HORIZON_DAYS:
            relative = desk.tongue.relative(distance, "day")
            when = desk.tongue.day_and_month(feast_day)
            lines.append(f"{name}: {when if relative is None else f'{relative} ({when})'}")
    lines = desk.rng.sample(lines, min(len(lines), 3))
    if (quarter := desk.tongue.quarter(today)) is not None:
        lines.append(quarter)
    years = desk.rng.randint(2, 60)
    if (relative := desk.tongue.relative(-years, "year")) is not None:
        lines.append(f"{relative}: {today.year - years}")
    desk.rng.shuffle(lines)
    return Page(desk.tongue.full_date(today), [*lines, *desk.miscellany(desk.rng.randint(2, 5))])


def holiday(desk: Desk) -> Page:
    """A holiday through the years."""
    feast = desk.rng.choice(desk.knowledge.feasts)
    lines = [desk.tell(s) for s in desk.of_subject.get(feast.name, ()) if s.kind == "feast"]
    days = list(feast.days.values())
    chosen = sorted(desk.rng.sample(days, min(len(days), desk.rng.randint(4, 8))))
    return Page(feast.name, [*lines, *(desk.tongue.full_date(day) for day in chosen)])


def year(desk: Desk) -> Page:
    """The holidays of a year."""
    number = desk.rng.choice(YEARS)
    days = [(day, name) for day, name in _feast_days(desk) if day.year == number]
    chosen = sorted(desk.rng.sample(days, min(len(days), desk.rng.randint(5, 12))))
    lines = [f"{desk.tongue.day_and_month(day)} – {name}" for day, name in chosen]
    fixed = [s for s in desk.knowledge.statements.get("feast", ()) if desk.rng.random() < 0.3]
    return Page(f"{desk.labels['feast']} – {number}", [*lines, *map(desk.tell, fixed)])


def week(desk: Desk) -> Page:
    """A plan of a week, with hours and places."""
    some_day = date(desk.year(), 1, 1) + timedelta(desk.rng.randrange(358))
    monday = some_day - timedelta(some_day.weekday())
    lines = []
    for number in sorted(desk.rng.sample(range(7), desk.rng.randint(4, 7))):
        begin = 30 * desk.rng.randint(12, 30)
        hours = desk.tongue.hours_between(begin, begin + 30 * desk.rng.randint(1, 14))
        lines.append(f"{desk.tongue.weekdays[number]} {hours}: {desk.rng.choice(desk.cities)}")
    return Page(desk.tongue.days_between(monday, monday + timedelta(6)), lines)

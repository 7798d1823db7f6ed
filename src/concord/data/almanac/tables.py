"""Pages of numbers: timetables, measures, sums, temperatures. Sums and measures are exact."""

from __future__ import annotations

from datetime import date

from concord.data.almanac.desk import Desk, Page

# One of the first unit is so many of the second.
EXACT = (
    ("length-kilometer", "length-meter", 1000),
    ("length-meter", "length-centimeter", 100),
    ("length-centimeter", "length-millimeter", 10),
    ("length-foot", "length-inch", 12),
    ("length-yard", "length-foot", 3),
    ("mass-kilogram", "mass-gram", 1000),
    ("mass-tonne", "mass-kilogram", 1000),
    ("volume-liter", "volume-milliliter", 1000),
    ("area-hectare", "area-square-meter", 10000),
    ("duration-hour", "duration-minute", 60),
    ("duration-minute", "duration-second", 60),
    ("duration-day", "duration-hour", 24),
    ("duration-week", "duration-day", 7),
    ("duration-year", "duration-month", 12),
)


def measures(desk: Desk) -> Page:
    """What one unit is in another."""
    lines = []
    for large, small, factor in desk.rng.sample(EXACT, desk.rng.randint(4, 8)):
        count = desk.rng.choice((1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 50))
        left = desk.tongue.measure(count, large)
        right = desk.tongue.measure(count * factor, small)
        if left is not None and right is not None:
            lines.append(f"{left} = {right}")
    return Page(desk.labels["measures"], [*lines, *(_sequence(desk) for _ in range(2))])


def _sequence(desk: Desk) -> str:
    step = desk.rng.randint(2, 25)
    return desk.tongue.join([desk.tongue.number(step * n) for n in range(1, 7)])


def sums(desk: Desk) -> Page:
    """Sums of money."""
    place = desk.rng.choice(desk.money_places)
    code = place.territory.currency

    def money(amount: int) -> str:
        return desk.tongue.money(amount, code) or ""

    lines = []
    for _ in range(desk.rng.randint(3, 6)):
        one, two = desk.rng.randint(1, 60), desk.rng.randint(1, 60)
        lines.append(f"{money(one)} + {money(two)} = {money(one + two)}")
    percent, base = desk.rng.choice((5, 10, 20, 25, 50)), 100 * desk.rng.randint(1, 30)
    share = desk.tongue.percent(percent / 100)
    lines.append(f"{money(base)} × {share} = {money(base * percent // 100)}")
    title = desk.labels.get("prices", place.currency or "")
    return Page(f"{title}: {place.name}", lines)


def numbers(desk: Desk) -> Page:
    """Sums and products."""
    lines = []
    for _ in range(desk.rng.randint(4, 8)):
        one, two = desk.rng.randint(2, 99), desk.rng.randint(2, 99)
        lines.append(f"{one} + {two} = {desk.tongue.number(one + two)}")
        if desk.rng.random() < 0.4:
            lines.append(f"{one} × {two} = {desk.tongue.number(one * two)}")
    lines.append(_sequence(desk))
    lines.append(desk.tongue.either([desk.tongue.number(desk.rng.randint(1, 9)) for _ in range(3)]))
    return Page(desk.labels["numbers"], lines)


def timetable(desk: Desk) -> Page:
    """Journeys between two cities. The times are made up."""
    begin, end = desk.rng.sample(desk.cities, 2)
    minutes = 5 * desk.rng.randint(9, 110)
    start = 5 * desk.rng.randint(60, 100)
    lines: list[str] = []
    while start + minutes < 24 * 60 and len(lines) < 6:
        lines.append(desk.tongue.hours_between(start, start + minutes))
        start += 5 * desk.rng.randint(12, 40)
    hours = [
        text
        for value, unit in ((minutes // 60, "duration-hour"), (minutes % 60, "duration-minute"))
        if value and (text := desk.tongue.measure(value, unit)) is not None
    ]
    title = desk.label("timetable")
    route = f"{begin} – {end}"
    return Page(f"{title}: {route}" if title else route, [*lines, desk.tongue.join(hours)])


def weather(desk: Desk) -> Page:
    """Temperatures of cities on a day, in two scales. Made up."""
    lines = []
    for city in desk.rng.sample(desk.cities, desk.rng.randint(5, 9)):
        celsius = 5 * desk.rng.randint(0, 7)
        warm = desk.tongue.measure(celsius, "temperature-celsius")
        other = desk.tongue.measure(celsius * 9 // 5 + 32, "temperature-fahrenheit")
        if warm is not None:
            lines.append(f"{city}: {warm}" + (f" ({other})" if other is not None else ""))
    day = date(desk.year(), desk.rng.randint(1, 12), desk.rng.randint(1, 28))
    return Page(desk.tongue.long_date(day), lines)

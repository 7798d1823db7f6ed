"""Pages about countries, languages and currencies."""

from __future__ import annotations

from concord.data.almanac.desk import Desk, Page

AMOUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def country(desk: Desk) -> Page:
    """A country's page: money, languages, cities, neighbours."""
    place = desk.places.draw()
    told = [s for s in desk.of_subject.get(place.name, ()) if desk.rng.random() < 0.85]
    lines = [desk.tell(statement) for statement in told]
    label = desk.label("tongue")
    if place.spoken and desk.rng.random() < 0.6:
        shares = [
            f"{language} ({desk.tongue.percent(percent / 100)})"
            for language, percent in place.spoken[: desk.rng.randint(2, 6)]
        ]
        lines.append(f"{label}: {desk.tongue.join(shares)}")
    if len(place.cities) > 1:
        cities = desk.rng.sample(place.cities, min(len(place.cities), desk.rng.randint(2, 6)))
        lines.append(f"{desk.label('city')}: {desk.tongue.join(cities)}")
    code = place.territory.currency
    if place.currency and desk.rng.random() < 0.5:
        amounts = sorted(desk.rng.sample(AMOUNTS, 3))
        named = [text for a in amounts if (text := desk.tongue.money(a, code)) is not None]
        lines.append(desk.tongue.join(named))
    desk.rng.shuffle(lines)
    return Page(place.name, lines)


def gazetteer(desk: Desk) -> Page:
    """Sentences of one kind."""
    kind = desk.kinds.draw()
    statements = desk.decks[kind].draw_different(desk.rng.randint(4, 9))
    return Page(desk.labels[kind], [desk.tell(statement) for statement in statements])


def digest(desk: Desk) -> Page:
    """A list of countries, a line each."""
    lines = []
    for place in desk.places.draw_different(desk.rng.randint(4, 8)):
        city = f" ({place.cities[0]})" if len(place.cities) == 1 else ""
        rest = [*place.official[:2], *([place.currency] if place.currency else [])]
        if rest:
            lines.append(f"{place.name}{city}: {desk.tongue.comma.join(rest)}")
    return Page(desk.labels["places"], lines)


def language(desk: Desk) -> Page:
    """A language's page: its script, and who speaks it."""
    name = desk.languages.draw()
    lines = [desk.tell(s) for s in desk.of_subject.get(name, ()) if s.kind == "script"]
    shares = desk.knowledge.speakers[name]
    chosen = sorted(desk.rng.sample(shares, min(len(shares), desk.rng.randint(3, 10))))
    lines += [f"{place}: {desk.tongue.percent(percent / 100)}" for place, percent in chosen]
    official = [p.name for p in desk.knowledge.places if name in p.official]
    if official:
        some = desk.rng.sample(official, min(len(official), desk.rng.randint(2, 8)))
        lines.append(f"{desk.labels['places']}: {desk.tongue.join(some)}")
    return Page(name, lines)


def index(desk: Desk) -> Page:
    """Names that begin alike, in order."""
    kind, names = desk.rng.choice(
        [
            ("places", [place.name for place in desk.knowledge.places]),
            ("tongue", list(desk.knowledge.speakers)),
            ("city", list(desk.cities)),
        ]
    )
    initial = desk.rng.choice(names)[0]
    alike = [name for name in names if name.startswith(initial)]
    if len(alike) < 4:
        alike = desk.rng.sample(names, 8)
    chosen = sorted(desk.rng.sample(alike, min(len(alike), desk.rng.randint(6, 14))))
    return Page(desk.labels[kind], [f"{number}. {name}" for number, name in enumerate(chosen, 1)])


def currency(desk: Desk) -> Page:
    """A currency's page: who uses it, and amounts in words."""
    place = desk.rng.choice(desk.money_places)
    code = place.territory.currency
    users = [p.name for p in desk.money_places if p.territory.currency == code]
    some = desk.rng.sample(users, min(len(users), desk.rng.randint(3, 8)))
    lines = [desk.tell(s) for s in desk.of_subject[place.name] if s.kind == "money"]
    lines.append(f"{desk.labels['places']}: {desk.tongue.join(some)}")
    start = desk.rng.randint(1, 40)
    amounts = [start, *sorted(desk.rng.sample(range(start + 1, start + 400), 4))]
    lines += [text for a in amounts if (text := desk.tongue.money(a, code)) is not None]
    return Page(f"{place.currency} ({code})", lines)

"""What CLDR knows of the world, in codes: currencies, languages, scripts and zones of territories.

Also land borders, from `world.toml`. Everything is as of `AS_OF`, so that no clock is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache

from babel.core import get_global
from babel.languages import get_territory_language_info
from babel.numbers import get_territory_currencies

from concord.data.almanac.phrases import load_table

AS_OF = date(2020, 1, 1)
MIN_SPOKEN_PERCENT = 2.0
OFFICIAL = ("official", "de_facto_official")


@dataclass(frozen=True)
class Territory:
    """One territory, in codes.

    Args:
        code: ISO 3166-1.
        currency: ISO 4217, its own legal tender if it has one.
        official: Official languages, most spoken first.
        spoken: Languages with the percentage who speak them, from 2 % on, most first.
        zones: Time zones that are named for a city, by id.
        neighbours: Territories at its land borders; empty if unknown.
    """

    code: str
    currency: str
    official: tuple[str, ...]
    spoken: tuple[tuple[str, float], ...]
    zones: tuple[str, ...]
    neighbours: tuple[str, ...]


@cache
def world() -> dict[str, Territory]:
    """All countries for which CLDR has a currency, an official language and a time zone."""
    table, zones = load_table("world.toml"), get_global("territory_zones")
    not_countries = table["not_countries"].split()
    found = {}
    for code in sorted(get_global("territory_languages")):
        currencies = get_territory_currencies(code, AS_OF, AS_OF, tender=True)
        info = get_territory_language_info(code)
        ranked = sorted(info, key=lambda lang: (-(info[lang]["population_percent"] or 0), lang))
        ranked = [lang for lang in ranked if "_" not in lang]
        official = tuple(lang for lang in ranked if info[lang]["official_status"] in OFFICIAL)
        if len(code) != 2 or code in not_countries:
            continue
        if not (currencies and official and zones.get(code)):
            continue
        found[code] = Territory(
            code=code,
            # Bhutan, Lesotho and Namibia also take a neighbour's money, which CLDR names first.
            currency=next((own for own in currencies if own.startswith(code)), currencies[0]),
            official=official,
            spoken=tuple(
                (lang, percent)
                for lang in ranked
                if (percent := info[lang]["population_percent"] or 0.0) >= MIN_SPOKEN_PERCENT
            ),
            zones=tuple(zone for zone in sorted(zones[code]) if _names_a_city(zone)),
            neighbours=tuple(table["borders"].get(code, "").split()),
        )
    return found


def _names_a_city(zone: str) -> bool:
    table = load_table("world.toml")
    if zone.startswith(("Pacific/", "Indian/")):
        return zone in table["ocean_cities"].split()
    # Three parts name a county of the United States or a province of Argentina.
    return zone.count("/") == 1 and zone not in table["not_cities"].split()


@cache
def script_of(language: str) -> str | None:
    """ISO 15924 code of the script a language is mostly written in."""
    likely = get_global("likely_subtags").get(language)
    return likely.split("_")[1] if likely and likely.count("_") == 2 else None


@cache
def languages() -> tuple[str, ...]:
    """Languages that 2 % of some territory speak."""
    return tuple(sorted({lang for place in world().values() for lang, _ in place.spoken}))

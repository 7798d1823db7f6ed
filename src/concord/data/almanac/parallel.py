"""The parallel set: the same short texts in the language of every member, line by line.

A line is made for all languages or for none, so each language has it in full. The set is for
learning a fair tokenizer and for measuring it; nothing is trained on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from concord.data.almanac.members import MEMBERS
from concord.data.almanac.phrases import Phrases, load_phrases
from concord.data.almanac.tongue import Tongue
from concord.data.almanac.world import Territory, languages, script_of, world


@dataclass(frozen=True)
class Voice:
    """One language and its phrases."""

    tongue: Tongue
    phrases: Phrases

    def say(self, kind: str, subject: str | None, answer: str | None) -> str | None:
        if subject is None or answer is None:
            return None
        return self.phrases.frames[kind].format(subject, answer)


Line = Callable[[Voice], str | None]


def parallel_lines(count: int, seed: int) -> dict[str, list[str]]:
    """`count` lines in the language of every member, by locale; no line twice."""
    rng = Random(f"parallel {seed}")  # noqa: S311 - to be repeated, not a secret
    voices = {
        member.locale: Voice(Tongue(member.locale, member.script), load_phrases(member.locale))
        for member in MEMBERS
    }
    found: dict[str, list[str]] = {locale: [] for locale in voices}
    seen: set[str] = set()
    while len(seen) < count:
        line = rng.choice(_MAKERS)(rng)
        texts = {locale: line(voice) for locale, voice in voices.items()}
        first = texts[MEMBERS[0].locale]
        if first is None or first in seen or None in texts.values():
            continue
        seen.add(first)
        for locale, text in texts.items():
            found[locale].append(text or "")
    return found


def _place(rng: Random) -> Territory:
    return rng.choice(list(world().values()))


def _day(rng: Random) -> date:
    return date(2001, 1, 1) + timedelta(rng.randrange(20 * 365))


def _money(rng: Random) -> Line:
    place = _place(rng)
    return lambda v: v.say(
        "money", v.tongue.territory(place.code), v.tongue.currency(place.currency)
    )


def _official(rng: Random) -> Line:
    place = _place(rng)
    language = place.official[0]
    return lambda v: v.say("tongue", v.tongue.territory(place.code), v.tongue.language(language))


def _city(rng: Random) -> Line:
    place = rng.choice([place for place in world().values() if place.zones])
    zone = rng.choice(place.zones)
    return lambda v: v.say("city", v.tongue.territory(place.code), v.tongue.city(zone))


def _script(rng: Random) -> Line:
    language = rng.choice([code for code in languages() if script_of(code)])
    script = script_of(language) or ""
    return lambda v: v.say("script", v.tongue.language(language), v.tongue.writing(script))


def _list(rng: Random) -> Line:
    codes = [place.code for place in rng.sample(list(world().values()), rng.randint(3, 6))]
    return lambda v: _joined(v, [v.tongue.territory(code) for code in codes])


def _languages(rng: Random) -> Line:
    codes = rng.sample(languages(), rng.randint(3, 6))
    return lambda v: _joined(v, [v.tongue.language(code) for code in codes])


def _joined(voice: Voice, names: Sequence[str | None]) -> str | None:
    known = [name for name in names if name is not None]
    return voice.tongue.join(known) if len(known) == len(names) else None


def _shares(rng: Random) -> Line:
    place = _place(rng)
    spoken = place.spoken[:4]

    def line(voice: Voice) -> str | None:
        names = [
            f"{name} ({voice.tongue.percent(percent / 100)})"
            for code, percent in spoken
            if (name := voice.tongue.language(code)) is not None
        ]
        subject = voice.tongue.territory(place.code)
        if subject is None or not names or len(names) < len(spoken):
            return None
        return f"{subject}: {voice.tongue.join(names)}"

    return line


def _dated(rng: Random) -> Line:
    day, inner = _day(rng), rng.choice((_money, _official, _city, _list))(rng)
    return lambda v: None if (text := inner(v)) is None else f"{v.tongue.full_date(day)}: {text}"


def _amounts(rng: Random) -> Line:
    place, one, two = _place(rng), rng.randint(1, 90), rng.randint(1, 90)

    def line(voice: Voice) -> str | None:
        amounts = [voice.tongue.money(n, place.currency) for n in (one, two, one + two)]
        if None in amounts:
            return None
        return "{} + {} = {}".format(*amounts)

    return line


def _days(rng: Random) -> Line:
    first, place = _day(rng), _place(rng)
    last = first + timedelta(rng.randint(2, 50))
    return lambda v: f"{v.tongue.days_between(first, last)}: {v.tongue.territory(place.code)}"


def _months(rng: Random) -> Line:
    chosen = sorted(rng.sample(range(12), rng.randint(3, 6)))
    year = rng.randint(1900, 2020)
    return lambda v: f"{year}: {v.tongue.join([v.tongue.months[number] for number in chosen])}"


_MAKERS: tuple[Callable[[Random], Line], ...] = (
    _money,
    _official,
    _city,
    _script,
    _list,
    _languages,
    _shares,
    _dated,
    _amounts,
    _days,
    _months,
)

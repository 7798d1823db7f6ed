"""Words of the pages: one file of messages per language, and numbers, days and names as it writes.

A message is plain text with places such as `{name}`. What is put into a place is made inert,
isolated in its direction and escaped, so that neither a translator nor a member can write markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from markupsafe import Markup, escape

from concord.base.canonical import parse_json
from concord.base.errors import DocumentError
from concord.observatory.words import ABSENT, MINUS, THIN, inert

FIRST = "en"
"""The language of the pages at the top of the folder."""
MAX_MESSAGES_BYTES = 256 << 10
MAX_SHOWN_CHARACTERS = 400
_PLACE = re.compile(r"\{([a-z_]+)\}")
_LATEST_S = 253_402_300_800  # the end of year 9999


@dataclass(frozen=True)
class Language:
    """One language of the pages.

    Args:
        code: BCP 47 tag.
        messages: Text by key.
    """

    code: str
    messages: Mapping[str, str]

    @cached_property
    def locale(self) -> Locale:
        """What CLDR knows of it."""
        return Locale.parse(self.code, sep="-")

    @property
    def name(self) -> str:
        """Its own name of itself."""
        found = str(self.locale.get_display_name(self.locale) or self.code)
        return found[:1].upper() + found[1:]

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`."""
        return str(self.locale.text_direction)

    def say(self, key: str, **values: object) -> Markup:
        """A message with its places filled.

        Raises:
            KeyError: the language has no such message, or a place has no value.
        """
        parts = _PLACE.split(self.messages[key])
        return Markup("").join(
            isolated(values[part]) if place % 2 else escape(part)
            for place, part in enumerate(parts)
        )

    def number(self, value: float | None, digits: int = 0) -> str:
        """A number with so many decimals."""
        if value is None:
            return ABSENT
        return str(format_decimal(round(value, digits), _pattern(digits), locale=self.locale))

    def change(self, ratio: float | None, digits: int = 1) -> str:
        """A ratio of losses as what was gained: 0.92 is +8.0 %, fewer being better."""
        if ratio is None:
            return ABSENT
        gained = round(100 * (1 - ratio), digits)
        sign = "+" if gained > 0 else MINUS if gained < 0 else "±"
        return f"{sign}{self.number(abs(gained), digits)}{THIN}%"

    def day(self, unix_s: float | None) -> str:
        """A day, UTC."""
        if unix_s is None or not 0 <= unix_s < _LATEST_S:
            return ABSENT
        return str(format_date(datetime.fromtimestamp(unix_s, UTC), "long", locale=self.locale))

    def moment(self, unix_s: float | None) -> str:
        """A time, UTC to the minute."""
        if unix_s is None or not 0 <= unix_s < _LATEST_S:
            return ABSENT
        at = datetime.fromtimestamp(unix_s, UTC)
        return f"{format_datetime(at, 'd MMM y, HH:mm', locale=self.locale)} UTC"

    def territory(self, code: str) -> str:
        """A place by its ISO 3166 code; what is none stays as it is."""
        return str(self.locale.territories.get(code.upper(), code)) if code else ABSENT

    def language(self, tag: str) -> str:
        """A language by its tag; what is none stays as it is."""
        try:
            known = Locale.parse(tag.replace("_", "-").split("-")[0])
        except (ValueError, UnknownLocaleError):
            return str(self.locale.languages.get(tag.split("_")[0].lower(), tag))
        return str(self.locale.languages.get(known.language, tag))


def isolated(value: object) -> Markup:
    """A value from elsewhere within a sentence: inert, cut where long, its direction its own."""
    if isinstance(value, Markup):
        return value
    text = shortened(inert(str(value)))
    return Markup("<bdi>{}</bdi>").format(text)


def shortened(text: str, most: int = MAX_SHOWN_CHARACTERS) -> str:
    """The beginning of a long text, and how much more there is."""
    if len(text) <= most:
        return text
    return f"{text[:most]}… [+{len(text) - most:,}]"


def languages(extra: Iterable[Path] = ()) -> dict[str, Language]:
    """The languages that come with Concord, and those of further files.

    Raises:
        DocumentError: a file is no JSON of texts, its name is no language, or it lacks a message.
    """
    found: dict[str, Language] = {}
    own = sorted(
        (one for one in files("concord.observatory.pages").joinpath("messages").iterdir()),
        key=lambda one: (one.name != f"{FIRST}.json", one.name),
    )
    for one in own:
        code = one.name.removesuffix(".json")
        found[code] = _read(one.read_bytes(), code, where=one.name, like=found.get(FIRST))
    for path in extra:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DocumentError(f"cannot be read: {error.strerror}", where=path) from error
        found[path.stem] = _read(data, path.stem, where=path, like=found[FIRST])
    return found


def chosen(codes: Iterable[str], extra: Iterable[Path] = ()) -> dict[str, Language]:
    """The first language and those named; all of them if none is.

    Raises:
        DocumentError: one is not there.
    """
    known = languages(extra)
    wanted = [FIRST, *codes] if codes else list(known)
    for code in wanted:
        if code not in known:
            raise DocumentError(
                f"there are no messages in {code[:40]!r}",
                where="--language",
                remedy=f"choose among {', '.join(known)}, or bring your own with --messages",
            )
    return {code: known[code] for code in dict.fromkeys(wanted)}


def _read(data: bytes, code: str, *, where: object, like: Language | None) -> Language:
    value = parse_json(data, where=where, max_bytes=MAX_MESSAGES_BYTES)
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise DocumentError("is no JSON of texts by key", where=where)
    messages = {key: str(text) for key, text in value.items()}
    try:
        Locale.parse(code, sep="-")
    except (ValueError, UnknownLocaleError) as error:
        raise DocumentError(
            f"{code[:40]!r} is no language",
            where=where,
            remedy="name the file by its BCP 47 tag: `sw.json`",
        ) from error
    if like is not None:
        _compare(messages, like.messages, where)
    return Language(code, messages)


def _compare(messages: Mapping[str, str], like: Mapping[str, str], where: object) -> None:
    """Refuse a language that says less, more, or leaves a place out."""
    if wrong := sorted(messages.keys() ^ like.keys()):
        what = "lacks" if wrong[0] in like else "has the unknown"
        raise DocumentError(
            f"{what} message {wrong[0][:60]!r}", where=where, remedy="compare it with en.json"
        )
    for key, text in messages.items():
        if sorted(set(_PLACE.findall(text))) != sorted(set(_PLACE.findall(like[key]))):
            raise DocumentError(
                "must have the same places in braces as en.json", where=f"{where}: {key}"
            )


def _pattern(digits: int) -> str:
    return "#,##0" + (f".{'0' * digits}" if digits else "")

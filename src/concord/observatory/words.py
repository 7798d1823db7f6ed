"""Numbers in plain words: how a figure is written, on a terminal and on a page alike."""

from __future__ import annotations

import unicodedata

MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"
ABSENT = "\N{EN DASH}"
_JOINERS = "\u200c\u200d"  # needed to write Persian, Sinhala and others; they reorder nothing
_NUMBER_WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine",
                 "Ten", "Eleven", "Twelve")  # fmt: skip


def inert(text: str, *, keep: str = "") -> str:
    """Make hostile text harmless to look at: controls and direction marks become visible codes.

    An escape sequence could rewrite a terminal and a bidirectional override could reorder a page,
    so that people read what was never written. Characters in `keep` (a newline, say) stay.
    """
    return "".join(
        character if character in keep or not _acts(character) else f"<U+{ord(character):04X}>"
        for character in text
    )


def bits(bits_per_byte: float | None) -> str:
    return ABSENT if bits_per_byte is None else f"{bits_per_byte:.3f}"


def ratio(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3f}"


def share(value: float | None, *, digits: int = 0) -> str:
    """A share in [0, 1] as per cent."""
    return ABSENT if value is None else f"{100 * value:.{digits}f}{THIN}%"


def change(value: float | None, *, digits: int = 1) -> str:
    """A ratio as a signed change: 1.021 is +2.1 %."""
    if value is None:
        return ABSENT
    per_cent = round(100 * (value - 1), digits)
    sign = "+" if per_cent > 0 else MINUS if per_cent < 0 else "±"
    return f"{sign}{abs(per_cent):.{digits}f}{THIN}%"


def more_bits(value: float) -> str:
    """A ratio as a comparison: 1.021 is `2.1 % more bits per byte than`."""
    per_cent = round(100 * (value - 1), 1)
    if per_cent == 0:
        return "as many bits per byte as"
    word = "more" if per_cent > 0 else "fewer"
    return f"{abs(per_cent):.1f}{THIN}% {word} bits per byte than"


def per_cent_more(value: float) -> str:
    """A ratio >= 1 as what comes on top: 1.045 is `4.5 % more`."""
    return f"{100 * (value - 1):.1f}{THIN}% more"


def quantity(value: float | None) -> str:
    """A count to three digits: 9,216,000 is `9.22 M`."""
    if value is None:
        return ABSENT
    scaled, prefix = _scaled(float(value))
    if not prefix and scaled == int(scaled):
        return f"{int(scaled)}"
    return f"{_three_digits(scaled)}{THIN}{prefix}".rstrip()


def byte_size(value: float | None) -> str:
    """Bytes in powers of 1000: 113,250,000 is `113 MB`."""
    if value is None:
        return ABSENT
    scaled, prefix = _scaled(float(value))
    number = f"{int(scaled)}" if not prefix else _three_digits(scaled)
    return f"{number}{THIN}{prefix}B"


def small(value: float | None) -> str:
    """A number near 1, to three digits."""
    return ABSENT if value is None else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 59.95:
        return f"{seconds:.1f}{THIN}s"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours}{THIN}h {minutes:02}{THIN}min"
    return f"{minutes}{THIN}min {whole % 60:02}{THIN}s"


def counted(count: int, one: str, many: str | None = None) -> str:
    """`One member`, `Six members`, `40 members`."""
    number = _NUMBER_WORDS[count] if count < len(_NUMBER_WORDS) else f"{count:,}"
    return f"{number} {one if count == 1 else many if many is not None else one + 's'}"


def _acts(character: str) -> bool:
    category = unicodedata.category(character)
    return category in {"Cc", "Cs", "Zl", "Zp"} or (category == "Cf" and character not in _JOINERS)


def _scaled(value: float) -> tuple[float, str]:
    prefixes = ("", "k", "M", "G", "T", "P", "E", "Z")
    power = 0
    # 999.5 would be rounded to 1000: the next prefix writes it as 1.00.
    while abs(value) >= 999.5 and power < len(prefixes) - 1:
        value, power = value / 1000, power + 1
    return value, prefixes[power]


def _three_digits(value: float) -> str:
    magnitude = abs(value)
    if magnitude >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if magnitude >= 9.995 else f"{value:.2f}"

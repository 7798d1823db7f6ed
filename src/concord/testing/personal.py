"""Texts with personal data planted at known places, and with things that look like it.

All numbers are made here, by the published check-digit rules, not by the code that looks for them;
telephone numbers are the specimens that `phonenumbers` ships for each country.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import phonenumbers

PLACES = ("BR", "CH", "CN", "IN", "US")


@dataclass(frozen=True)
class Planted:
    """A document and what was planted in it."""

    text: str
    places: tuple[tuple[str, str], ...]
    """Kind, and the very text that was planted."""


_WORDS = (
    "the office answers within days",
    "ofisi hujibu ndani ya siku",
    "канцелярия отвечает в течение дней",
    "कार्यालय दिनों में उत्तर देता है",
    "يجيب المكتب خلال أيام",
    "办公室会在几天内答复",
    "ቢሮው በቀናት ውስጥ ይመልሳል",
    "a secretaria responde em dias",
)


def planted(seed: int, documents: int) -> Iterator[Planted]:
    """Documents, each with one to three planted places and as many decoys."""
    rng = Random(seed)  # noqa: S311 - texts for tests, not secrets
    for _ in range(documents):
        chosen = [rng.choice(list(_MAKERS)) for _ in range(rng.randint(1, 3))]
        pieces: list[tuple[str | None, str]] = [(kind, _MAKERS[kind](rng)) for kind in chosen]
        pieces += [(None, rng.choice(_DECOYS)(rng)) for _ in range(rng.randint(1, 3))]
        rng.shuffle(pieces)
        words = [f"{rng.choice(_WORDS)} {piece}" for _, piece in pieces]
        told = tuple((kind, piece) for kind, piece in pieces if kind is not None)
        yield Planted("; ".join(words) + ".", told)


def _digits(rng: Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def _email(rng: Random) -> str:
    local = rng.choice(["amina.otieno", "josé", "иван.петров", "li_wei", "r+news"])
    return f"{local}{rng.randint(1, 99)}@{rng.choice(['example.org', 'почта.рф', 'mail.go.ke'])}"


def _ip(rng: Random) -> str:
    if rng.random() < 0.3:
        return "2a02:" + ":".join(f"{rng.randint(1, 0xFFFF):x}" for _ in range(7))
    return (
        f"{rng.randint(11, 99)}.{rng.randint(32, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"
    )


def _iban(rng: Random) -> str:
    """Germany: two check digits by ISO 7064 mod 97-10, then 18 digits."""
    account = _digits(rng, 18)
    check = 98 - int(account + "131400") % 97
    plain = f"DE{check:02}{account}"
    if rng.random() < 0.5:
        return plain
    return " ".join(plain[i : i + 4] for i in range(0, len(plain), 4))


def luhn_digit(digits: str) -> str:
    """The last digit by ISO/IEC 7812: every second digit from the right counts twice."""
    doubled = [int(d) * (2 - i % 2) for i, d in enumerate(reversed(digits))]
    return str(-sum(n - 9 * (n > 9) for n in doubled) % 10)


def _card(rng: Random) -> str:
    body = rng.choice("45") + rng.choice("12345") + _digits(rng, 13)
    plain = body + luhn_digit(body)
    return plain if rng.random() < 0.5 else "-".join(plain[i : i + 4] for i in range(0, 16, 4))


def _phone(rng: Random) -> str:
    place = rng.choice(["BR", "CH", "CN", "ET", "FR", "IN", "KE", "UA", "US", "ZA"])
    number = phonenumbers.example_number_for_type(place, phonenumbers.PhoneNumberType.MOBILE)
    if number is None:
        raise LookupError(place)
    forms = [phonenumbers.PhoneNumberFormat.E164, phonenumbers.PhoneNumberFormat.INTERNATIONAL]
    if place in ("CH", "US"):
        forms.append(phonenumbers.PhoneNumberFormat.NATIONAL)
    return phonenumbers.format_number(number, rng.choice(forms))


def _cpf(rng: Random) -> str:
    """Brazil: two digits, each from the weighted sum of those before it, modulo 11."""
    digits = [rng.randint(0, 9) for _ in range(9)]
    for first in (10, 11):
        total = sum(d * w for d, w in zip(digits, range(first, 1, -1), strict=True))
        digits.append(-total % 11 % 10 if total % 11 > 1 else 0)
    text = "".join(map(str, digits))
    return rng.choice([text, f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"])


def _cnpj(rng: Random) -> str:
    digits = [int(d) for d in _digits(rng, 8) + "0001"]
    for weights in ([5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2], [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]):
        rest = sum(d * w for d, w in zip(digits, weights, strict=True)) % 11
        digits.append(0 if rest < 2 else 11 - rest)
    t = "".join(map(str, digits))
    return f"{t[:2]}.{t[2:5]}.{t[5:8]}/{t[8:12]}-{t[12:]}"


_DIHEDRAL = [
    [(a + b) % 5 if a < 5 and b < 5 else 0 for b in range(10)] for a in range(10)
]  # filled in below: the group of symmetries of a pentagon
for _a in range(10):
    for _b in range(10):
        if _a < 5:
            _DIHEDRAL[_a][_b] = (_a + _b) % 5 if _b < 5 else 5 + (_a + _b - 5) % 5
        else:
            _DIHEDRAL[_a][_b] = 5 + (_a - 5 - _b) % 5 if _b < 5 else (_a - _b) % 5
_STEP = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]


def verhoeff_digit(digits: str) -> str:
    """The last digit by Verhoeff 1969: permuted digits, multiplied in the dihedral group D5."""
    found = 0
    for place, digit in enumerate(reversed(digits), start=1):
        value = int(digit)
        for _ in range(place % 8):
            value = _STEP[value]
        found = _DIHEDRAL[found][value]
    return str(next(d for d in range(10) if _DIHEDRAL[found][d] == 0))


def _aadhaar(rng: Random) -> str:
    body = rng.choice("23456789") + _digits(rng, 10)
    plain = body + verhoeff_digit(body)
    return rng.choice([plain, f"{plain[:4]} {plain[4:8]} {plain[8:]}"])


def _pan(rng: Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMN") for _ in range(3))
    return f"{letters}P{rng.choice('ABKMS')}{rng.randint(1, 9999):04}{rng.choice('ABCXYZ')}"


def _ric(rng: Random) -> str:
    """China: place, day of birth, order, and one digit by ISO 7064 mod 11-2 (GB 11643-1999)."""
    born = f"{rng.randint(1950, 2005)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    body = rng.choice(["110101", "310104", "440305"]) + born + _digits(rng, 3)
    total = sum(int(d) * (2 ** (17 - i) % 11) for i, d in enumerate(body))
    return body + "0123456789X"[(12 - total) % 11]


def _ssn(rng: Random) -> str:
    return f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"


def _ahv(rng: Random) -> str:
    """Switzerland: an EAN-13 that begins with 756."""
    body = "756" + _digits(rng, 9)
    total = sum(int(d) * (1 + 2 * (i % 2)) for i, d in enumerate(body))
    t = body + str(-total % 10)
    return rng.choice([t, f"{t[:3]}.{t[3:7]}.{t[7:11]}.{t[11:]}"])


_MAKERS: dict[str, Callable[[Random], str]] = {
    "email": _email,
    "ip": _ip,
    "iban": _iban,
    "card": _card,
    "phone": _phone,
    "br-cpf": _cpf,
    "br-cnpj": _cnpj,
    "in-aadhaar": _aadhaar,
    "in-pan": _pan,
    "cn-ric": _ric,
    "us-ssn": _ssn,
    "ch-ahv": _ahv,
}

_DECOYS: tuple[Callable[[Random], str], ...] = (
    lambda rng: f"{rng.randint(1, 28)}.{rng.randint(1, 12)}.{rng.randint(1850, 2030)}",
    lambda rng: f"{rng.randint(1850, 2020)}-{rng.randint(2021, 2030)}",
    lambda rng: (
        f"§ {rng.randint(1, 30)}.{rng.randint(1, 9)}.{rng.randint(1, 9)}.{rng.randint(1, 9)}"
    ),
    lambda rng: f"{rng.randint(1, 99)} {rng.randint(100, 999)} {rng.randint(100, 999)}",
    lambda rng: f"{rng.randint(1, 99)},{rng.randint(100, 999)},{rng.randint(100, 999)}.00",
    lambda rng: f"ISBN 978-3-16-{rng.randint(100000, 999999)}-{rng.randint(0, 9)}",
    lambda rng: f"version 2.{rng.randint(0, 30)}.{rng.randint(0, 30)}",
    lambda rng: f"192.168.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
    lambda rng: f"12:{rng.randint(10, 59)}:{rng.randint(10, 59)}",
    lambda rng: f"@{rng.choice(['amina', 'office'])} at {rng.randint(2, 9)} o'clock",
    lambda rng: f"no. {rng.randint(10_000_000, 99_999_999)}",
    lambda rng: f"order {_digits(rng, 16)}",
    lambda rng: f"{_digits(rng, 9)}",
    lambda rng: f"temperature {rng.randint(1, 40)}.{rng.randint(10_000_000, 99_999_999)}",
    lambda rng: f"DE00{_digits(rng, 18)}",
)

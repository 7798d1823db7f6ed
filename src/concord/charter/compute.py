"""Joint compute against the thresholds of a charter, exactly: 10^23.4 is no float here."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from concord.base.errors import CharterError
from concord.charter.constitution import Charter

MAX_FLOP = 10**40


def reaches(flop: int, log10_flop: Decimal) -> bool:
    """Whether `flop` is at least 10^`log10_flop`: both raised to the denominator, in integers.

    Raises:
        CharterError: `flop` is negative or above 10^40.
    """
    if not 0 <= flop <= MAX_FLOP:
        raise CharterError(f"{flop} FLOP: joint compute lies between 0 and 10^40")
    power = Fraction(log10_flop)
    amount, mark = int(flop**power.denominator), int(10**power.numerator)
    return amount >= mark


def duties_at(charter: Charter, flop: int) -> tuple[tuple[str, ...], str | None]:
    """Duties at an amount of joint compute, and the rule that new runs and releases then need.

    Duties add up over all thresholds that are reached; the rule is that of the highest which
    names one, None if none does.
    """
    reached = [mark for mark in charter.compute if reaches(flop, mark.log10_flop)]
    duties = dict.fromkeys(duty for mark in reached for duty in mark.duties)
    rules = [mark.rule for mark in reached if mark.rule is not None]
    return tuple(duties), rules[-1] if rules else None


def overseers_at(charter: Charter, flop: int) -> int:
    """Least number of overseers at an amount of joint compute."""
    reached = [mark for mark in charter.compute if reaches(flop, mark.log10_flop)]
    return max([charter.oversight.min_overseers, *(mark.min_overseers for mark in reached)])

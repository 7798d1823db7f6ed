"""The embedded default corpus: almanacs of twelve members, made from Unicode CLDR, no download.

Each member gets short documents in its own language (pages of countries, languages, currencies,
holidays, months and days; timetables, tables of measures, sums, lists), a set of facts that its
text alone holds, and all members together get a parallel set: the same lines in every language.
Names, dates, numbers, lists and plural forms are CLDR's, read through `babel`; holidays are from
`holidays`; the few carrier words are in `phrases.toml`. What CLDR lacks in a language is left
out, never filled in English.

The text teaches a model little about the world. It serves to try the machinery, in many scripts,
on a machine without any corpus. Timetables and opening hours are made up.
"""

from concord.data.almanac.members import MEMBERS, AlmanacMember, find_member
from concord.data.almanac.write import AlmanacSummary, MemberSummary, write_almanac

__all__ = [
    "MEMBERS",
    "AlmanacMember",
    "AlmanacSummary",
    "MemberSummary",
    "find_member",
    "write_almanac",
]

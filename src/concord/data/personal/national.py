"""Numbers by which states know persons, per jurisdiction: how they are written, and their check.

The written forms are ours; check digits, dates and prefixes are checked by `python-stdnum`. Numbers
without form and check digit are not here: they would be every number of that length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from concord.base.errors import DocumentError

# jurisdiction, kind, module of python-stdnum, written form. "-": the form is all there is. "+": the
# check digit of ISO 7064 mod 11-2 alone, since the library's list of Chinese districts has gaps.
_TABLE = r"""
AR cuit ar.cuit \d{2}-\d{8}-\d
AT vnr at.vnr \d{4}[ ]\d{6}|\d{10}
BE nn be.nn \d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}|\d{11}
BG egn bg.egn \d{10}
BR cpf br.cpf \d{3}\.\d{3}\.\d{3}-\d{2}|\d{11}
BR cnpj br.cnpj \d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}|\d{14}
CA sin ca.sin \d{3}[ -]\d{3}[ -]\d{3}
CH ahv ch.ssn 756\.?\d{4}\.?\d{4}\.?\d{2}
CL rut cl.rut \d{1,2}\.\d{3}\.\d{3}-[\dK]|\d{7,8}-[\dK]
CN ric + \d{6}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]
CZ rc cz.rc \d{6}/\d{3,4}
DE idnr de.idnr [1-9]\d[ ]\d{3}[ ]\d{3}[ ]\d{3}|[1-9]\d{10}
DK cpr dk.cpr \d{6}-\d{4}
EE ik ee.ik [1-8]\d{10}
ES dni es.dni \d{8}-?[A-Z]
ES nie es.nie [XYZ]-?\d{7}-?[A-Z]
FI hetu fi.hetu \d{6}[-+A-FU-Y]\d{3}[0-9A-Y]
FR nir fr.nir [12378][ ]?\d{2}[ ]?\d{2}[ ]?(?:\d{2}|2[AB])[ ]?\d{3}[ ]?\d{3}[ ]?\d{2}
GB nhs gb.nhs \d{3}[ -]\d{3}[ -]\d{4}
GB nino - (?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?:[ ]?\d\d){3}[ ]?[A-D]
GR amka gr.amka \d{11}
HR oib hr.oib \d{11}
ID nik id.nik \d{16}
IE pps ie.pps \d{7}[A-W][A-IW]?
IL idnr il.idnr \d{9}
IN aadhaar in_.aadhaar [2-9]\d{3}[ -]\d{4}[ -]\d{4}|[2-9]\d{11}
IN pan in_.pan [A-Z]{5}\d{4}[A-Z]
IS kennitala is_.kennitala \d{6}-\d{4}
IT codice-fiscale it.codicefiscale [A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]
JP my-number jp.in_ \d{4}[ -]\d{4}[ -]\d{4}|\d{12}
KE pin ke.pin A\d{9}[A-Z]
KR rrn kr.rrn \d{6}-\d{7}
LT asmens lt.asmens [3-6]\d{10}
LV pk lv.pvn \d{6}-\d{5}
MX curp mx.curp [A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z\d]\d
MY nric my.nric \d{6}-\d{2}-\d{4}
NL bsn nl.bsn \d{9}|\d{4}\.\d{2}\.\d{3}
NO fodselsnummer no.fodselsnummer \d{6}[ ]?\d{5}
PK cnic pk.cnic \d{5}-\d{7}-\d
PL pesel pl.pesel \d{11}
PT nif pt.nif [123]\d{2}[ ]?\d{3}[ ]?\d{3}
RO cnp ro.cnp [1-9]\d{12}
SE personnummer se.personnummer \d{6}[-+]\d{4}|\d{8}-\d{4}
SI emso si.emso \d{13}
SK rc sk.rc \d{6}/\d{3,4}
TH pin th.pin \d-\d{4}-\d{5}-\d{2}-\d|[1-8]\d{12}
TR tckimlik tr.tckimlik [1-9]\d{10}
UA rntrc ua.rntrc \d{10}
US ssn us.ssn \d{3}-\d{2}-\d{4}
ZA idnr za.idnr \d{6}[ ]\d{4}[ ]\d{2}[ ]\d|\d{13}
"""


@dataclass(frozen=True)
class NationalId:
    """A kind of number: how it is written, and what its check says of one."""

    jurisdiction: str
    kind: str
    """Such as `br-cpf`."""
    form: re.Pattern[str]
    valid: Callable[[str], bool]


@cache
def _all() -> dict[str, tuple[NationalId, ...]]:
    found: dict[str, tuple[NationalId, ...]] = {}
    for line in _TABLE.strip().splitlines():
        place, name, module, form = line.split(" ", 3)
        # No digit, letter or decimal mark may touch it: it would be a part of something longer.
        pattern = re.compile(rf"(?<![\w.,/-])(?:{form})(?![\w/-]|[.,]\d)", re.ASCII)
        one = NationalId(place, f"{place.lower()}-{name}", pattern, _check(module))
        found[place] = (*found.get(place, ()), one)
    return found


def _check(module: str) -> Callable[[str], bool]:
    if module == "-":
        return lambda _: True
    if module == "+":
        module = "iso7064.mod_11_2"
    valid: Callable[[str], bool] = import_module(f"stdnum.{module}").is_valid
    return valid


def known_jurisdictions() -> tuple[str, ...]:
    """Places whose national ids are looked for, as ISO 3166-1 codes."""
    return tuple(sorted(_all()))


def ids_of(jurisdictions: Sequence[str]) -> tuple[NationalId, ...]:
    """Kinds of number of the places.

    Raises:
        DocumentError: a place is none whose ids are known.
    """
    for place in jurisdictions:
        if place not in _all():
            raise DocumentError(
                f"no national ids are known of {place!r}",
                where="jurisdiction",
                remedy=f"known are {', '.join(known_jurisdictions())}",
            )
    return tuple(one for place in sorted(set(jurisdictions)) for one in _all()[place])

"""How many letters of each script a text holds, by the names of Unicode's characters.

The standard library has no Script property, but a letter's name begins with its script
(Unicode Standard, section 4.8). Letters that belong to no script alone, such as modifier and
mathematical letters, are not counted.
"""

from __future__ import annotations

import unicodedata

import numpy as np

_SCRIPTS = {
    "ANATOLIAN": "Anatolian Hieroglyphs",
    "ANGSTROM": "Latin",
    "BASSA": "Bassa Vah",
    "CANADIAN": "Canadian Aboriginal",
    "CAUCASIAN": "Caucasian Albanian",
    "CJK": "Han",
    "CYPRO": "Cypro Minoan",
    "DIVES": "Dives Akuru",
    "EGYPTIAN": "Egyptian Hieroglyphs",
    "FEMININE": "Latin",
    "GUNJALA": "Gunjala Gondi",
    "HANIFI": "Hanifi Rohingya",
    "HENTAIGANA": "Hiragana",
    "IDEOGRAPHIC": "Han",
    "IMPERIAL": "Imperial Aramaic",
    "KAYAH": "Kayah Li",
    "KELVIN": "Latin",
    "KHITAN": "Khitan Small Script",
    "MASARAM": "Masaram Gondi",
    "MASCULINE": "Latin",
    "MEETEI": "Meetei Mayek",
    "MENDE": "Mende Kikakui",
    "NAG": "Nag Mundari",
    "NEW": "New Tai Lue",
    "NYIAKENG": "Nyiakeng Puachue Hmong",
    "OHM": "Greek",
    "OL": "Ol Chiki",
    "PAHAWH": "Pahawh Hmong",
    "PAU": "Pau Cin Hau",
    "PHAGS-PA": "Phags Pa",
    "PSALTER": "Psalter Pahlavi",
    "ROMAN": "Latin",
    "SORA": "Sora Sompeng",
    "SUPERSCRIPT": "Latin",
    "SYLOTI": "Syloti Nagri",
    "TURNED": "Latin",
    "WARANG": "Warang Citi",
    "ZANABAZAR": "Zanabazar Square",
}
"""Scripts whose name is not the first word of their letters' names."""
_TWO_WORDS = frozenset({"INSCRIPTIONAL", "LINEAR", "MEROITIC", "OLD", "TAI"})
_COMMON = frozenset(
    {
        "ALEF",
        "BET",
        "BLACK-LETTER",
        "CARON",
        "DALET",
        "DOUBLE-STRUCK",
        "EULER",
        "GIMEL",
        "INFORMATION",
        "KATAKANA-HIRAGANA",
        "MASU",
        "MATHEMATICAL",
        "MICRO",
        "MODIFIER",
        "PLANCK",
        "SCRIPT",
        "VEDIC",
        "VERTICAL",
    }
)
_WIDTHS = frozenset({"FULLWIDTH", "HALFWIDTH"})
_UNKNOWN = -1
_NO_SCRIPT = 0
_SLICE = 1 << 20
_MAX_SCRIPTS = 1024
"""More than Unicode's names will ever yield; there are some 170 scripts."""


def script_of(character: str) -> str:
    """The script of a letter, such as `Latin` or `Han`; empty for anything else."""
    if unicodedata.category(character)[0] != "L":
        return ""
    words = unicodedata.name(character, "").split()
    if words and words[0] in _WIDTHS:
        words = words[1:]
    if not words or words[0] in _COMMON:
        return ""
    if words[0] in _SCRIPTS:
        return _SCRIPTS[words[0]]
    return " ".join(words[: 2 if words[0] in _TWO_WORDS else 1]).title()


class ScriptCounter:
    """Counts letters per script over many texts."""

    def __init__(self) -> None:
        self._names = [""]
        self._number = {"": _NO_SCRIPT}
        self._table = np.full(0x110000, _UNKNOWN, np.int16)
        self._counts = np.zeros(_MAX_SCRIPTS, np.int64)

    def add(self, text: str) -> None:
        """Count the letters of `text`, which holds no lone surrogate."""
        for start in range(0, len(text), _SLICE):
            points = np.frombuffer(text[start : start + _SLICE].encode("utf-32-le"), "<u4")
            numbers = self._table[points]
            if (numbers == _UNKNOWN).any():
                self._learn(points[numbers == _UNKNOWN])
                numbers = self._table[points]
            self._counts += np.bincount(numbers, minlength=_MAX_SCRIPTS)

    def counts(self) -> dict[str, int]:
        """Letters per script, the most frequent first."""
        pairs = zip(self._names[1:], self._counts[1:].tolist(), strict=False)
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    def _learn(self, points: np.typing.NDArray[np.uint32]) -> None:
        for point in np.unique(points).tolist():
            name = script_of(chr(point))
            if name not in self._number:
                self._number[name] = len(self._names)
                self._names.append(name)
            self._table[point] = self._number[name]

"""The scan for personal data: what kinds a text holds, where, and the same text without them."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from concord.data.personal import general, phones
from concord.data.personal.areas import areas
from concord.data.personal.national import ids_of, known_jurisdictions

__all__ = ["SCANNER", "Found", "Scanner", "Treated", "known_jurisdictions"]

SCANNER = "concord-personal-data 1"
"""Its number is raised when a detector finds something else than before. Numbering plans are those
of the installed `phonenumbers`, and change with it."""
_PLACEHOLDERS = {"email": "[EMAIL]", "ip": "[IP]", "iban": "[IBAN]", "card": "[CARD]"}
_PLACEHOLDERS |= {"phone": "[PHONE]"}
FOUND = "found:"
ID_PLACEHOLDER = "[ID]"
_EVERYWHERE: tuple[tuple[str, Callable[[str], Iterator[general.Span]]], ...] = (
    ("iban", general.ibans),
    ("ip", general.ip4),
    ("phone", phones.international),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A place in a text, by characters. It holds no text."""

    kind: str
    begin: int
    end: int


class Scanner:
    """Finds e-mail and network addresses, accounts, cards, telephone numbers and national ids.

    Args:
        jurisdictions: ISO 3166-1 codes of the places whose national ids, and whose telephone
            numbers without a country's code, are looked for.

    Raises:
        DocumentError: a place is none whose ids are known.
    """

    def __init__(self, jurisdictions: Sequence[str] = ()) -> None:
        self.jurisdictions = tuple(sorted(set(jurisdictions)))
        self._ids = ids_of(self.jurisdictions)

    def find(self, text: str) -> list[Found]:
        """Places in order, none within another; where two overlap the first detector's stands."""
        found: list[Found] = []
        begins: list[int] = []
        for one in self._candidates(text):
            at = bisect(begins, one.begin)
            free_before = at == 0 or found[at - 1].end <= one.begin
            if free_before and (at == len(found) or one.end <= found[at].begin):
                begins.insert(at, one.begin)
                found.insert(at, one)
        return found

    def mask(self, text: str, places: Iterable[Found]) -> str:
        """The text with a placeholder such as `[EMAIL]` at each place that `find` gave."""
        parts, done = [], 0
        for one in places:
            parts += [text[done : one.begin], _PLACEHOLDERS.get(one.kind, ID_PLACEHOLDER)]
            done = one.end
        return "".join([*parts, text[done:]])

    def _candidates(self, text: str) -> Iterator[Found]:
        """Most certain first: what comes later does not stand where it overlaps."""
        yield from (Found("email", *span) for span in general.emails(text))
        yield from (Found("ip", *span) for span in general.ip6(text))
        stretches = list(areas(text))
        for kind, finder in _EVERYWHERE:
            for area in stretches:
                yield from (_shifted(kind, span, area.offset) for span in finder(area.text))
        for area in stretches:
            for one in self._ids:
                for found in one.form.finditer(area.text):
                    if one.valid(found[0]):
                        yield _shifted(one.kind, found.span(), area.offset)
        for area in stretches:
            yield from (_shifted("card", span, area.offset) for span in general.cards(area.text))
            for span in phones.national(area.text, self.jurisdictions):
                yield _shifted("phone", span, area.offset)


def _shifted(kind: str, span: tuple[int, int], by: int) -> Found:
    return Found(kind, span[0] + by, span[1] + by)


@dataclass
class Treated:
    """Adds up what a scan found, and what was done about it. Counts only."""

    scanned: int = 0
    scanned_bytes: int = 0
    documents: int = 0
    """In which something was found."""
    masked: int = 0
    left_out: int = 0
    found: Counter[str] = field(default_factory=Counter)

    def add(self, places: Sequence[Found], *, size: int) -> None:
        self.scanned += 1
        self.scanned_bytes += size
        self.documents += bool(places)
        self.found.update(one.kind for one in places)

    def to_json(self) -> dict[str, int]:
        """Counts by name; kinds that were found as `found:email`. Empty if nothing was scanned."""
        if not self.scanned:
            return {}
        found = {f"{FOUND}{kind}": count for kind, count in sorted(self.found.items())}
        return found | {
            "scanned_documents": self.scanned,
            "scanned_bytes": self.scanned_bytes,
            "documents": self.documents,
            "masked": self.masked,
            "left_out": self.left_out,
        }

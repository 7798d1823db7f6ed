"""The members of the embedded corpus: who they are, and which language their almanac speaks."""

from __future__ import annotations

from dataclasses import dataclass

from concord.base.errors import DocumentError


@dataclass(frozen=True)
class AlmanacMember:
    """A member of the embedded corpus.

    Args:
        id: Name of the member in a federation.
        name: Name for people, in English.
        territory: ISO 3166-1 code, whose holidays it keeps.
        locale: CLDR locale that its text is written in; names its file of the parallel set.
        script: ISO 15924 code.
        holiday_language: Language of `holidays`; None where it has none of the member's own.
        holiday_region: Subdivision of the territory for `holidays`.
    """

    id: str
    name: str
    territory: str
    locale: str
    script: str
    holiday_language: str | None
    holiday_region: str | None = None

    @property
    def languages(self) -> tuple[str, ...]:
        """Its languages, as the files of the parallel set are named."""
        return (self.locale,)


# Any prefix of this order mixes scripts and regions.
MEMBERS: tuple[AlmanacMember, ...] = (
    AlmanacMember("ethiopia", "Ethiopia", "ET", "am", "Ethi", "am"),
    AlmanacMember("kenya", "Kenya", "KE", "sw", "Latn", "sw"),
    AlmanacMember("tamil_nadu", "India (Tamil Nadu)", "IN", "ta", "Taml", "ta", "TN"),
    AlmanacMember("ukraine", "Ukraine", "UA", "uk", "Cyrl", "uk"),
    AlmanacMember("thailand", "Thailand", "TH", "th", "Thai", "th"),
    AlmanacMember("egypt", "Egypt", "EG", "ar", "Arab", "ar_EG"),
    AlmanacMember("nigeria", "Nigeria", "NG", "yo", "Latn", None),
    AlmanacMember("greece", "Greece", "GR", "el", "Grek", "el"),
    AlmanacMember("korea", "South Korea", "KR", "ko", "Hang", "ko"),
    AlmanacMember("peru", "Peru", "PE", "qu", "Latn", None),
    AlmanacMember("georgia", "Georgia", "GE", "ka", "Geor", "ka"),
    AlmanacMember("cambodia", "Cambodia", "KH", "km", "Khmr", "km"),
)


def find_member(identifier: str) -> AlmanacMember:
    """Look a member up.

    Raises:
        DocumentError: the embedded corpus has no member of this id.
    """
    for member in MEMBERS:
        if member.id == identifier:
            return member
    known = ", ".join(member.id for member in MEMBERS)
    raise DocumentError(
        f"{identifier!r} is no member of the embedded corpus", remedy=f"choose among {known}"
    )

"""What a dataset record says, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from concord.charter.dataset import DatasetDocument
from concord.charter.dataset.terms import TIER_WORDS
from concord.cli.say import count


def record_lines(document: DatasetDocument) -> Iterator[tuple[str, str]]:
    terms, counts, personal = document.terms, document.counts, document.personal_data
    yield "title", terms.title
    yield "languages", ", ".join(terms.languages)
    yield "sources", "; ".join(terms.sources)
    yield "licences", ", ".join(terms.licences)
    yield "rights holder", terms.rights_holder
    yield "sensitivity", terms.sensitivity
    yield "consent tier", f"{terms.tier}, {TIER_WORDS[terms.tier]}"
    yield "purposes", ", ".join(terms.purposes)
    yield "stages", ", ".join(terms.stages)
    yield "model licences", ", ".join(terms.model_licences)
    yield "stored and processed in", ", ".join(terms.residency)
    if terms.not_in:
        yield "never in", ", ".join(terms.not_in)
    yield "expires", terms.expires.isoformat()
    yield "may leave", _leaving(document)
    yield "consent", terms.consent
    yield "community review", terms.community_review
    yield "recorded", document.recorded.isoformat()
    yield "text", f"{count(counts.documents, 'document')}, {count(counts.bytes, 'byte')}"
    yield "personal data", personal_words(document)
    for kind, number in sorted(personal.found.items()):
        yield f"  {kind}", f"{number:,}"
    yield "commitment", f"{document.commitment.root} over {count(counts.documents, 'document')}"


def _leaving(document: DatasetDocument) -> str:
    terms = document.terms
    leaving = [
        what
        for what, may in (
            ("raw text", terms.raw_text_may_leave),
            ("what is made of it", terms.derived_may_leave),
            ("updates", terms.updates_may_leave),
        )
        if may
    ]
    return ", ".join(leaving) or "nothing"


def personal_words(document: DatasetDocument) -> str:
    personal = document.personal_data
    done = {
        "keep": "kept",
        "mask": f"{count(personal.masked, 'place')} masked",
        "leave_out": f"{count(personal.left_out, 'document')} left out",
    }[personal.treatment]
    scanned = count(personal.scanned_documents, "document")
    if not personal.documents:
        return f"none found by its patterns in {scanned}"
    return f"found in {personal.documents:,} of {scanned}, {done}"

"""A dataset record as tests need it: complete, and easy to change in one place."""

from concord.charter.dataset import DatasetDocument

TERMS = {
    "title": "Kenya Gazette",
    "description": "Notices of the government, cleaned.",
    "languages": ["sw", "en-KE"],
    "sources": ["Kenya Gazette, printed edition"],
    "licences": ["CC-BY-4.0", "LicenseRef-kenya-gazette"],
    "rights_holder": "Government Printer, Nairobi",
    "origin": ["KE"],
    "collected": ["1990-01-01", "2025-12-31"],
    "sensitivity": "public",
    "tier": "P",
    "purposes": ["public-interest", "research"],
    "stages": ["pretraining", "evaluation"],
    "model_licences": ["Apache-2.0"],
    "residency": ["KE"],
    "not_in": ["US"],
    "expires": "2031-12-31",
    "max_epsilon": "8.0",
    "updates_may_leave": True,
    "consent": "Official texts, Copyright Act 2001, section 22",
    "community_review": "National Library, 2026-03-02",
    "limitations": ["Law and administration only."],
}
FACTS = {
    "held": {"member": "kenya", "dataset": "gazette", "name": "Kenya"},
    "recorded": "2026-11-26",
    "counts": {"documents": 3, "bytes": 1_000, "languages": {"sw": 3}},
    "personal_data": {
        "scanner": "concord-scan 1",
        "jurisdictions": ["KE"],
        "treatment": "keep",
        "scanned_documents": 3,
        "documents": 1,
        "found": {"email": 2},
    },
    "commitment": {"root": "ab" * 32, "size": 3},
}


def document(terms=None, **facts):
    """A record; `terms` changes its terms, other arguments its facts."""
    return DatasetDocument.model_validate({"terms": TERMS | (terms or {})} | FACTS | facts)

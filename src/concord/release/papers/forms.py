"""The other forms: copyright policy, and the notice of training data."""

from __future__ import annotations

from concord.release.papers.form import Form, by_dataset, part, terms_of, undescribed
from concord.release.papers.sections import Sections


def copyright_policy(given: Sections) -> Form:
    """The copyright policy: five measures, and where to complain."""
    contact = given["contact"]
    return Form(
        "Copyright policy",
        "Regulation (EU) 2024/1689, Article 53(1)(c); Code of Practice, chapter on copyright.",
        (
            part(
                "Measures",
                [
                    (
                        "1 This policy",
                        "rendered from the members' records at every release",
                    ),
                    ("2 Lawful access", terms_of(given, "licences")),
                    (
                        "3 Reservations of rights (RFC 9309 and others)",
                        None,
                    ),
                    (
                        "4 Mitigation of infringing output",
                        [one["limit"] for one in given["gates"] if one["metric"] == "verbatim"]
                        or None,
                    ),
                    ("5 Contact and complaints", contact["complaints"]),
                ],
            ),
            part(
                "Complaints",
                [
                    ("Route", contact["complaints"]),
                    (
                        "What happens",
                        "it becomes a statement in the log, to be answered within 31 days",
                    ),
                    ("Coordinator", contact["legal_owner"]),
                ],
            ),
        ),
    )


def training_data_notice(given: Sections) -> Form:
    """The notice that California's AB 2013 asks of developers."""
    return Form(
        "Training data notice",
        "California Civil Code section 3111 (AB 2013), in force since 2026-01-01. Not verified"
        " word by word.",
        (
            part(
                "Datasets",
                [
                    ("Sources or owners", terms_of(given, "rights_holder")),
                    ("How they further the purpose of the model", terms_of(given, "description")),
                    (
                        "Number of data points",
                        by_dataset(given, lambda f: f["counts"]["documents"]),
                    ),
                    ("Types of data points", "documents of text"),
                    (
                        "Protected by copyright, or in the public domain",
                        terms_of(given, "licences"),
                    ),
                    ("Purchased or licensed", terms_of(given, "consent")),
                    (
                        "Personal information",
                        by_dataset(given, lambda f: f["personal_data"]["documents"]),
                    ),
                    ("Aggregate consumer information", None),
                    (
                        "Cleaning and processing",
                        by_dataset(given, lambda f: f["personal_data"]["treatment"]),
                    ),
                    ("Period of collection", terms_of(given, "collected")),
                    ("First used", None),
                    ("Synthetic data", None),
                    ("Members whose text is not described", undescribed(given) or "none"),
                ],
            ),
        ),
    )

"""The two forms of the Union: summary of training content, and documentation of the model."""

from __future__ import annotations

from typing import Any

from concord.release.papers.form import (
    Form,
    Value,
    by_dataset,
    facts_of,
    part,
    terms_of,
    undescribed,
)
from concord.release.papers.sections import Sections


def training_summary(given: Sections) -> Form:
    """The public summary of training content, after the template of the European Commission."""
    release, contact = given["release"], given["contact"]
    sizes = by_dataset(given, lambda facts: facts["counts"]["bytes"])
    return Form(
        "Public summary of training content",
        "Regulation (EU) 2024/1689, Article 53(1)(d), template C(2025) 8311. Names of sub-fields"
        " were not verified in its text.",
        (
            part(
                "1 General",
                [
                    ("Provider", None),
                    ("Coordinator that merged the updates", contact["legal_owner"]),
                    ("Authorised representative in the Union", None),
                    ("Contact", contact["complaints"]),
                    ("Model", f"{release['name']} {release['version']}"),
                    ("Model digest", release["model"]),
                    ("Made from another model", given["architecture"]["continued_from"] or "none"),
                    ("Date on the Union market", None),
                    ("Modality", "text"),
                    ("Size of training text, range", _size_range(given)),
                    ("Size of training text, bytes by dataset", sizes),
                    ("Kinds of content", terms_of(given, "description")),
                    ("Languages", terms_of(given, "languages")),
                    ("Regions that the text is from", terms_of(given, "origin")),
                    ("Period of collection", terms_of(given, "collected")),
                    ("Latest date of acquisition", _latest_day(given)),
                    ("Whether it is trained further on new text", None),
                ],
            ),
            part(
                "2 Sources",
                [
                    ("Public datasets", "none is recorded as one"),
                    (
                        "Private datasets of the members, which never left them",
                        terms_of(given, "sources"),
                    ),
                    ("Licences under which members hold them", terms_of(given, "licences")),
                    ("Rightsholders", terms_of(given, "rights_holder")),
                    ("Crawled and scraped: crawlers and how they behave", None),
                    ("Crawled and scraped: period", None),
                    ("Crawled and scraped: top domains by size", None),
                    ("Data of users", None),
                    ("Synthetic data, and models that made it", None),
                    ("Other sources", None),
                    ("Members whose text is not described", undescribed(given) or "none"),
                ],
            ),
            part(
                "3 Processing",
                [
                    ("Respect of reservations of rights", None),
                    ("Removal of illegal content", None),
                    (
                        "Personal data: what was done",
                        by_dataset(given, lambda facts: facts["personal_data"]["treatment"]),
                    ),
                    (
                        "Duplicates left out, exact and near",
                        by_dataset(
                            given,
                            lambda facts: [
                                facts["counts"]["exact_duplicates"],
                                facts["counts"]["near_duplicates"],
                            ],
                        ),
                    ),
                    ("Other processing", None),
                ],
            ),
        ),
        ("To be renewed every six months, or when the content changes materially.",),
    )


def model_documentation(given: Sections) -> Form:
    """The Model Documentation Form of the General-Purpose AI Code of Practice."""
    release, built, compute = given["release"], given["architecture"], given["compute"]
    return Form(
        "Model Documentation Form",
        "General-Purpose AI Code of Practice, chapter on transparency. Groups 5 to 8 follow Annex"
        " XI, section 1, point 2; their fields were not verified in the form.",
        (
            part(
                "1 General",
                [
                    ("Legal name of the provider", None),
                    ("Coordinator", given["contact"]["legal_owner"]),
                    ("Model name", f"{release['name']} {release['version']}"),
                    ("Authenticity: digest of the base in the log", release["model"]),
                    ("Date of the release", release["day"]),
                    ("Date on the Union market", None),
                    ("Made from another model", built["continued_from"] or "none"),
                ],
            ),
            part(
                "2 Properties",
                [
                    ("Architecture", built["family"]),
                    ("Layers, width, heads", [built["layers"], built["hidden"], built["heads"]]),
                    ("Design, with its reasons and assumptions", _design(release, built)),
                    ("Input, and the largest in tokens", ["text", built["context"]]),
                    ("Output, and the largest in tokens", ["text", built["context"]]),
                    ("Parameters, to two figures", two_figures(built["parameters"])),
                ],
            ),
            part(
                "3 Distribution and licence",
                [
                    ("Channel", "a folder of files that anybody may serve"),
                    ("Licence", release["licence"]),
                ],
            ),
            part(
                "4 Use",
                [
                    ("Policy of acceptable use", "none; USE.md advises and does not bind"),
                    ("Intended use", release["purpose"]),
                    ("Restricted use", "none"),
                    ("Systems that it can be part of", None),
                    (
                        "Technical means",
                        "a folder that transformers loads, and GGUF files for llama.cpp",
                    ),
                    ("Software", "transformers, vLLM or llama.cpp"),
                    ("Hardware", None),
                ],
            ),
            part(
                "5 Training process",
                [
                    (
                        "Methods and techniques",
                        _design(release, built),
                    ),
                    ("Optimiser", built["optimizer"]),
                    (
                        "What it is optimised for",
                        "the likelihood of the next token of the members' text",
                    ),
                    ("Design choices, with reasons and assumptions", release["open_result"]),
                ],
            ),
            part(
                "6 Data",
                [
                    ("Type", "text"),
                    ("Provenance", terms_of(given, "origin")),
                    ("How it was obtained", terms_of(given, "sources")),
                    ("How it was selected", terms_of(given, "community_review")),
                    ("Documents", by_dataset(given, lambda f: f["counts"]["documents"])),
                    ("Scope and main characteristics", terms_of(given, "description")),
                    ("Curation: documents left out, and personal data", _curation(given)),
                    ("Known biases, how detected", None),
                    ("Known biases", terms_of(given, "biases")),
                    ("Limitations", terms_of(given, "limitations")),
                    ("Unsuitable sources, how detected", None),
                    ("Members whose text is not described", undescribed(given) or "none"),
                ],
            ),
            part(
                "7 Compute",
                [
                    ("FLOP", compute["flop"]),
                    ("Decimal logarithm", compute["log10_flop"]),
                    ("Method", compute["method"]),
                    (
                        "Seconds of training by member",
                        {one["id"]: one["train_s"] for one in given["members"]},
                    ),
                ],
            ),
            part(
                "8 Energy",
                [("Training", None), ("Inference benchmark", None), ("Method", None)],
            ),
        ),
    )


def _size_range(given: Sections) -> str | None:
    """The range that the template asks for, by the tokens that updates were made of."""
    tokens = sum(one["tokens"] for one in given["members"])
    if not tokens:
        return None
    ranges = ((10**9, "less than 1 billion tokens"), (10**13, "1 billion to 10 trillion tokens"))
    return next((word for top, word in ranges if tokens < top), "more than 10 trillion tokens")


def _latest_day(given: Sections) -> str | None:
    days = [facts["terms"]["collected"][-1:] for facts in facts_of(given)]
    return max((day for one in days for day in one), default=None)


def _curation(given: Sections) -> dict[str, Value]:
    def of(facts: dict[str, Any]) -> list[str]:
        counts, personal = facts["counts"], facts["personal_data"]
        return [
            f"exact duplicates: {counts['exact_duplicates']}",
            f"near duplicates: {counts['near_duplicates']}",
            f"documents with personal data: {personal['documents']} ({personal['treatment']})",
        ]

    return by_dataset(given, of)


def _design(release: dict[str, Any], built: dict[str, Any]) -> str:
    return (
        f"{release['rounds']} rounds of {built['inner_steps']} inner steps at each member, merged"
        f" by {built['merge']}, codec {built['codec']}, {built['mode']} mode"
    )


def two_figures(number: int | None) -> str | None:
    """A number as the form asks for it: 1,234,567 is 1.2 million."""
    if number is None:
        return None
    for size, word in ((10**12, "trillion"), (10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{float(f'{number / size:.2g}'):g} {word}"
    return f"{float(f'{number:.2g}'):,.0f}"

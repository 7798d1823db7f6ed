"""Papers with a fixed set of fields: one structure, shown as JSON and as Markdown alike.

What the words of a law ask for and no record holds is a field without a value: missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from concord.release.papers.sections import Sections

Value = Any


@dataclass(frozen=True)
class Row:
    """A field; None means that nobody said."""

    name: str
    value: Value


@dataclass(frozen=True)
class Part:
    """A section of a form."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Form:
    """A paper."""

    title: str
    basis: str
    """Where the fields are from, and what was not verified in it."""
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def missing(self) -> list[str]:
        """Fields without a value."""
        return [
            f"{part.title}: {row.name}"
            for part in self.parts
            for row in part.rows
            if row.value is None or row.value in ("", [], {})
        ]

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "title": self.title,
            "basis": self.basis,
            "parts": {
                part.title: {row.name: row.value for row in part.rows} for part in self.parts
            },
            "notes": list(self.notes),
            "missing": self.missing,
        }


Maker = Callable[[Sections], Form]


def _part(title: str, rows: Iterable[tuple[str, Value]]) -> Part:
    return Part(title, tuple(Row(name, value) for name, value in rows))


def _facts(given: Sections) -> Iterator[dict[str, Any]]:
    for one in given["datasets"]:
        if one["facts"] is not None:
            yield {**one["facts"], "place": f"{one['member']}/{one['dataset']}"}


def _by_dataset(given: Sections, pick: Callable[[dict[str, Any]], Value]) -> dict[str, Value]:
    return {facts["place"]: pick(facts) for facts in _facts(given)}


def _undescribed(given: Sections) -> list[str]:
    """Members whose text no record describes, and records that are not at hand."""
    described = {one["member"] for one in given["datasets"] if one["facts"] is not None}
    return sorted({one["id"] for one in given["members"]} - described)


def training_summary(given: Sections) -> Form:
    """The public summary of training content, after the template of the European Commission."""
    release, contact = given["release"], given["contact"]
    sizes = _by_dataset(given, lambda facts: facts["counts"]["bytes"])
    undescribed = _undescribed(given)
    return Form(
        "Public summary of training content",
        "Regulation (EU) 2024/1689, Article 53(1)(d), template C(2025) 8311. Names of sub-fields"
        " were not verified in its text.",
        (
            _part(
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
                    ("Size of training text, bytes by dataset", sizes),
                    (
                        "Languages",
                        _by_dataset(given, lambda facts: facts["terms"]["languages"]),
                    ),
                    (
                        "Period of collection",
                        _by_dataset(given, lambda facts: facts["terms"]["collected"]),
                    ),
                ],
            ),
            _part(
                "2 Sources",
                [
                    ("Public datasets", "none is recorded as one"),
                    (
                        "Private datasets of the members, which never left them",
                        _by_dataset(given, lambda facts: facts["terms"]["sources"]),
                    ),
                    (
                        "Licences under which members hold them",
                        _by_dataset(given, lambda facts: facts["terms"]["licences"]),
                    ),
                    (
                        "Rightsholders",
                        _by_dataset(given, lambda facts: facts["terms"]["rights_holder"]),
                    ),
                    ("Crawled and scraped: top domains by size", None),
                    ("Data of users", None),
                    ("Synthetic data, and models that made it", None),
                    ("Members whose text is not described", undescribed or "none"),
                ],
            ),
            _part(
                "3 Processing",
                [
                    ("Respect of reservations of rights", None),
                    ("Removal of illegal content", None),
                    (
                        "Personal data: what was done",
                        _by_dataset(given, lambda facts: facts["personal_data"]["treatment"]),
                    ),
                    (
                        "Duplicates left out, exact and near",
                        _by_dataset(
                            given,
                            lambda facts: [
                                facts["counts"]["exact_duplicates"],
                                facts["counts"]["near_duplicates"],
                            ],
                        ),
                    ),
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
        "General-Purpose AI Code of Practice, chapter on transparency, and Annex XI. Groups 5 to 8"
        " were not verified in its text.",
        (
            _part(
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
            _part(
                "2 Properties",
                [
                    ("Architecture", built["family"]),
                    ("Layers, width, heads", [built["layers"], built["hidden"], built["heads"]]),
                    ("Input and output", "text"),
                    ("Largest input, tokens", built["context"]),
                    ("Parameters, to two figures", two_figures(built["parameters"])),
                ],
            ),
            _part(
                "3 Distribution and licence",
                [
                    ("Channel", "a folder of files that anybody may serve"),
                    ("Licence", release["licence"]),
                ],
            ),
            _part(
                "4 Use",
                [
                    ("Intended use", release["purpose"]),
                    ("Restricted use", "none; USE.md advises and does not bind"),
                    ("Software", "transformers, vLLM or llama.cpp"),
                    ("Hardware", None),
                ],
            ),
            _part(
                "5 Training process",
                [
                    (
                        "Design",
                        _design(release, built),
                    ),
                    ("Optimiser", built["optimizer"]),
                    ("Rationale", release["open_result"]),
                ],
            ),
            _part(
                "6 Data",
                [
                    ("Type", "text"),
                    (
                        "Provenance",
                        _by_dataset(given, lambda facts: facts["terms"]["origin"]),
                    ),
                    ("Documents", _by_dataset(given, lambda f: f["counts"]["documents"])),
                    ("Known biases", _by_dataset(given, lambda f: f["terms"]["biases"])),
                    ("Limitations", _by_dataset(given, lambda f: f["terms"]["limitations"])),
                    ("Unsuitable sources, how detected", None),
                    ("Members whose text is not described", _undescribed(given) or "none"),
                ],
            ),
            _part(
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
            _part("8 Energy", [("Training", None), ("Inference benchmark", None)]),
        ),
    )


def copyright_policy(given: Sections) -> Form:
    """The copyright policy: five measures, and where to complain."""
    contact = given["contact"]
    return Form(
        "Copyright policy",
        "Regulation (EU) 2024/1689, Article 53(1)(c); Code of Practice, chapter on copyright.",
        (
            _part(
                "Measures",
                [
                    (
                        "1 This policy",
                        "rendered from the members' records at every release",
                    ),
                    (
                        "2 Lawful access",
                        _by_dataset(given, lambda facts: facts["terms"]["licences"]),
                    ),
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
            _part(
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
            _part(
                "Datasets",
                [
                    (
                        "Sources or owners",
                        _by_dataset(given, lambda f: f["terms"]["rights_holder"]),
                    ),
                    (
                        "How they further the purpose of the model",
                        _by_dataset(given, lambda f: f["terms"]["description"]),
                    ),
                    (
                        "Number of data points",
                        _by_dataset(given, lambda f: f["counts"]["documents"]),
                    ),
                    ("Types of data points", "documents of text"),
                    (
                        "Protected by copyright, or in the public domain",
                        _by_dataset(given, lambda f: f["terms"]["licences"]),
                    ),
                    ("Purchased or licensed", _by_dataset(given, lambda f: f["terms"]["consent"])),
                    (
                        "Personal information",
                        _by_dataset(given, lambda f: f["personal_data"]["documents"]),
                    ),
                    ("Aggregate consumer information", None),
                    (
                        "Cleaning and processing",
                        _by_dataset(given, lambda f: f["personal_data"]["treatment"]),
                    ),
                    ("Period of collection", _by_dataset(given, lambda f: f["terms"]["collected"])),
                    ("First used", None),
                    ("Synthetic data", None),
                    ("Members whose text is not described", _undescribed(given) or "none"),
                ],
            ),
        ),
    )


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

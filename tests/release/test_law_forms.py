"""Each field that a law's form asks for is in our paper: with a value, or listed as missing.

What is asked for is stated here in our words, after Regulation (EU) 2024/1689, Annex XI, section 1,
the Model Documentation Form of the Code of Practice, the three sections of the template
C(2025) 8311, and California Civil Code section 3111(a).
"""

import copy
import json

import pytest
from releaselab import history_with_a_run, made_of, write_again
from test_papers import describe

from concord.release.papers.eu_forms import training_summary
from concord.release.papers.render import render
from concord.release.papers.sections import sections_of

ASKED = {
    "papers/model-documentation.json": {
        "1 General": {
            "legal name": "Legal name of the provider",
            "model name": "Model name",
            "authenticity": "Authenticity: digest of the base in the log",
            "release date": "Date of the release",
            "Union date": "Date on the Union market",
            "dependencies": "Made from another model",
        },
        "2 Properties": {
            "architecture": "Architecture",
            "design specifications": "Design, with its reasons and assumptions",
            "input modalities and size": "Input, and the largest in tokens",
            "output modalities and size": "Output, and the largest in tokens",
            "total size, two figures": "Parameters, to two figures",
        },
        "3 Distribution and licence": {"channels": "Channel", "licence": "Licence"},
        "4 Use": {
            "acceptable use policy": "Policy of acceptable use",
            "intended uses": "Intended use",
            "restricted uses": "Restricted use",
            "type of AI systems": "Systems that it can be part of",
            "technical means": "Technical means",
            "software": "Software",
            "hardware": "Hardware",
        },
        "5 Training process": {
            "methodologies and techniques": "Methods and techniques",
            "optimised for": "What it is optimised for",
            "design choices": "Design choices, with reasons and assumptions",
        },
        "6 Data": {
            "type": "Type",
            "provenance": "Provenance",
            "obtained": "How it was obtained",
            "selected": "How it was selected",
            "number of data points": "Documents",
            "scope": "Scope and main characteristics",
            "curation": "Curation: documents left out, and personal data",
            "unsuitable sources": "Unsuitable sources, how detected",
            "detection of biases": "Known biases, how detected",
        },
        "7 Compute": {
            "operations": "FLOP",
            "time": "Seconds of training by member",
            "method": "Method",
        },
        "8 Energy": {
            "training": "Training",
            "inference": "Inference benchmark",
            "method": "Method",
        },
    },
    "papers/eu-training-summary.json": {
        "1 General": {
            "provider": "Provider",
            "representative": "Authorised representative in the Union",
            "contact": "Contact",
            "versions": "Model",
            "dependencies": "Made from another model",
            "Union date": "Date on the Union market",
            "modality": "Modality",
            "size range": "Size of training text, range",
            "kinds of content": "Kinds of content",
            "latest acquisition": "Latest date of acquisition",
            "still collected": "Whether it is trained further on new text",
            "linguistic traits": "Languages",
            "regional traits": "Regions that the text is from",
        },
        "2 Sources": {
            "public datasets": "Public datasets",
            "private": "Private datasets of the members, which never left them",
            "licensed": "Licences under which members hold them",
            "rightsholders": "Rightsholders",
            "crawlers": "Crawled and scraped: crawlers and how they behave",
            "crawl period": "Crawled and scraped: period",
            "domains": "Crawled and scraped: top domains by size",
            "users": "Data of users",
            "synthetic": "Synthetic data, and models that made it",
            "other": "Other sources",
        },
        "3 Processing": {
            "reservations": "Respect of reservations of rights",
            "illegal content": "Removal of illegal content",
            "other": "Other processing",
        },
    },
    "papers/training-data-notice.json": {
        "Datasets": {
            "sources or owners": "Sources or owners",
            "purpose": "How they further the purpose of the model",
            "data points": "Number of data points",
            "types": "Types of data points",
            "copyright": "Protected by copyright, or in the public domain",
            "licensed": "Purchased or licensed",
            "personal": "Personal information",
            "consumer": "Aggregate consumer information",
            "cleaning": "Cleaning and processing",
            "period": "Period of collection",
            "first used": "First used",
            "synthetic": "Synthetic data",
        },
    },
}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    history, run = history_with_a_run(tmp_path_factory.mktemp("forms"))
    for member in ("chad", "fiji", "peru"):
        describe(history, member)
    write_again(history)
    return sections_of(made_of(history, run))


@pytest.mark.parametrize("path", ASKED)
def test_every_field_that_is_asked_for_has_a_value_or_is_listed_as_missing(given, path):
    papers = render(given)
    paper, page = json.loads(papers[path]), papers[path.replace(".json", ".md")].decode()
    assert list(paper["parts"]) == list(ASKED[path])
    for part, asked in ASKED[path].items():
        assert set(asked.values()) <= paper["parts"][part].keys()
        for name, value in paper["parts"][part].items():
            known = value not in (None, "", [], {})
            assert known != (f"{part}: {name}" in paper["missing"]), name
    for name in paper["missing"]:
        assert f"\n- {name}" in page


def test_what_one_member_did_not_say_is_missing_of_it_alone(given):
    given = copy.deepcopy(given)
    for one in given["datasets"]:
        one["facts"]["terms"]["biases"] = ["Official speech."]
    given["datasets"][1]["facts"]["terms"]["biases"] = []
    missing = json.loads(render(given)["papers/model-documentation.json"])["missing"]
    assert [name for name in missing if "Known biases (" in name] == [
        "6 Data: Known biases (fiji/news)"
    ]


def test_without_a_record_all_that_it_would_say_is_missing(given):
    full, none = (
        json.loads(render(sections)["papers/model-documentation.json"])["missing"]
        for sections in (given, {**given, "datasets": []})
    )
    gained = {name.partition(": ")[2] for name in set(none) - set(full)}
    assert gained == {
        *("Provenance", "How it was obtained", "How it was selected", "Documents"),
        *("Scope and main characteristics", "Curation: documents left out, and personal data"),
        *("Known biases", "Limitations"),
    }


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (0, None),
        (10**9 - 1, "less than 1 billion tokens"),
        (10**9, "1 billion to 10 trillion tokens"),
        (10**13, "more than 10 trillion tokens"),
    ],
)
def test_the_size_is_given_as_a_range(given, tokens, words):
    given = copy.deepcopy(given)
    for one in given["members"]:
        one["tokens"] = 0
    given["members"][0]["tokens"] = tokens
    general = training_summary(given).to_json()["parts"]["1 General"]
    assert general["Size of training text, range"] == words
    assert general["Latest date of acquisition"] == "2025-12-31"

"""Papers: valid by their schemas, inert, and changed by exactly the records they depend on."""

import copy
import json
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jinja2 import UndefinedError
from releaselab import GATES, all_evidence, decide, history_with_a_run, made_of, write_again

from concord.charter.dataset.croissant import record_bytes
from concord.ledger.statements.evidence import DatasetRecord, GateEvidence
from concord.release.papers.openness import components, mof_class, openness_words, osaid_words
from concord.release.papers.render import PAPERS, inert, records, render
from concord.release.papers.sections import sections_of

sys.path.insert(0, str(Path(__file__).parents[1] / "charter"))
from datasetlab import document

EVIL = "<script>alert(1)</script> | `x` [a](javascript:b) \u202eevil\u202c\n# Title " + "y" * 900


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    history, run = history_with_a_run(tmp_path_factory.mktemp("papers"), extra=GATES)
    for member in ("chad", "fiji", "peru"):
        describe(history, member)
    all_evidence(history, run)
    decide(history, run)
    write_again(history)
    return history, run


def describe(history, member, **changes):
    record = record_bytes(document(held={"member": member, "dataset": "news"}, **changes))
    history.say(DatasetRecord(dataset="news", record=history.objects.put(record)), member)


@pytest.fixture
def sections(described):
    return copy.deepcopy(sections_of(made_of(*described)))


def test_the_bill_of_materials_is_strictly_valid(sections):
    data = render(sections)["bom.cdx.json"].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data) is None
    broken = data.replace('"modelCard"', '"modelCrad"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_records_go_in_as_they_were_signed(described, sections):
    history, _ = described
    found = records(sections, history.objects)
    assert sorted(found) == [f"croissant/{m}/news.json" for m in ("chad", "fiji", "peru")]


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")
def test_the_reference_checker_reads_every_record_of_a_release(described, sections):
    import mlcroissant

    found = records(sections, described[0].objects)
    for data in found.values():
        issues = mlcroissant.Dataset(jsonld=json.loads(data)).metadata.ctx.issues
        assert (list(issues.errors), list(issues.warnings)) == ([], [])
    broken = json.loads(found["croissant/chad/news.json"])
    del broken["distribution"][0]["sha256"]
    with pytest.raises(mlcroissant.ValidationError, match="sha256"):
        mlcroissant.Dataset(jsonld=broken)


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.path)
def test_a_paper_uses_every_section_that_it_names(sections, paper):
    given = {name: sections[name] for name in paper.needs}
    whole = paper.make(given)
    for name in paper.needs:
        less = {key: value for key, value in given.items() if key != name}
        try:
            assert paper.make(less) != whole, name
        except (KeyError, UndefinedError):
            continue


def test_a_changed_record_changes_exactly_the_papers_that_depend_on_it(sections):
    before = render(sections)
    changed = copy.deepcopy(sections)
    changed["datasets"][0]["facts"]["counts"]["documents"] += 1
    after = render(changed)
    assert {path for path in after if after[path] != before[path]} == {
        "README.md",
        "papers/model-documentation.json",
        "papers/model-documentation.md",
        "papers/training-data-notice.json",
        "papers/training-data-notice.md",
    }
    changed = copy.deepcopy(sections)
    changed["decision"]["ballots"]["chad"] = "no"
    after = render(changed)
    assert {path for path in after if after[path] != before[path]} == {"papers/decision.json"}


def test_what_nobody_said_is_listed_as_missing(sections):
    summary = json.loads(render(sections)["papers/eu-training-summary.json"])
    assert "1 General: Provider" in summary["missing"]
    assert "1 General: Contact" in summary["missing"]
    assert "2 Sources: Public datasets" not in summary["missing"]
    gone = {**sections, "datasets": []}
    assert "2 Sources: Rightsholders" not in summary["missing"]
    without = json.loads(render(gone)["papers/eu-training-summary.json"])
    assert "2 Sources: Rightsholders" in without["missing"]
    contributions = json.loads(render(sections)["papers/contributions.json"])
    assert [one["energy_j"] for one in contributions["members"]] == [None] * 3
    assert contributions["members"][0]["tokens"] == 200


def test_a_declared_complaint_route_is_printed(tmp_path):
    history, run = history_with_a_run(tmp_path)
    letter = history.objects.put(b"Write to: objections@example.org")
    body = GateEvidence(
        gate="complaint-contact",
        model=history.state.federation,
        evidence=letter,
        result="passed",
    )
    history.say(body, "peru")
    write_again(history)
    made = render(sections_of(made_of(history, run)))
    assert b"objections@example.org" in made["papers/copyright-policy.md"]


def test_text_of_a_record_is_inert_on_every_paper(sections):
    for one in sections["datasets"]:
        one["facts"]["terms"]["description"] = EVIL
        one["facts"]["terms"]["rights_holder"] = EVIL
    sections["members"][0]["owner"] = EVIL
    sections["release"]["purpose"] = EVIL
    for path, data in render(sections).items():
        text = data.decode()
        if path.endswith(".md"):
            assert "<script>" not in text
            assert "\u202e" not in text
            assert "](javascript" not in text.replace("\\]", "")
            assert "\n# Title" not in text
        else:
            json.loads(text) if path.endswith((".json", ".yml")) else None
    assert len(inert(EVIL)) < 900


def test_the_openness_class_is_what_is_in_the_release(sections):
    assert "class III (Open Model) lacks: Evaluation results" in openness_words(sections)
    sections["measurements"][0]["bits_per_byte"] = "1.5"
    assert mof_class(components(sections)) == 3
    assert "class II (Open Tooling) lacks: Evaluation data" in openness_words(sections)
    assert osaid_words(sections).startswith("Open Source AI by OSAID")
    sections["release"]["licence"] = "LicenseRef-research-only"
    assert openness_words(sections).startswith("no MOF class")
    assert "not Open Source AI" in osaid_words(sections)
    document_ = json.loads(render(sections)["mof.yml"])
    assert set(document_) == {"framework", "release"}
    assert "Datasets" not in {one["name"] for one in document_["release"]["components"]}

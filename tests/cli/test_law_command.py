"""`concord law` and `concord declare`: the matrix from the log, and evidence in it."""

import json

import pytest
from clilab import concord

from concord.base.digest import digest_bytes
from concord.base.objects import ObjectStore
from concord.charter.template import LAWS, default_charter
from concord.testing.founded import found


@pytest.fixture
def atlas(tmp_path):
    """A federation of three under the default charter's laws."""
    folder = tmp_path / "atlas" / "charter" / "law"
    folder.mkdir(parents=True)
    files = default_charter("x", members=3).files
    for path in LAWS:
        (folder.parent / path).write_bytes(files[path])
    found(tmp_path / "atlas", ["chad", "fiji", "peru"])
    return tmp_path / "atlas"


@pytest.fixture
def told(atlas, capsys):
    """Call a command on the federation."""

    def call(word, *words, status=0):
        said = concord(capsys, word, atlas, *words)
        assert said.status == status, said.err
        return said.err if status else said.out

    return call


def duties(told, *words):
    found_ = json.loads(told("law", "--json", *words))
    return {duty["id"]: duty["status"] for duty in found_["duties"]}


def test_a_declared_contact_opens_what_its_lack_blocked_until_somebody_finds_it_fails(
    told, atlas, tmp_path
):
    contact = tmp_path / "contact.md"
    contact.write_text("Write to rights@example.org.")
    as_if = ("--market", "EU", "--log10-flop", "23.5")
    assert duties(told, *as_if)["EU-COP-complaints"] == "UNMET"
    told("declare", "complaint-contact", "--file", contact, "--as", "fiji")
    assert duties(told, *as_if)["EU-COP-complaints"] == "met"
    assert duties(told, "--market", "EU")["EU-COP-complaints"] == "n/a"
    failed = ("--file", contact, "--as", "peru", "--result", "failed")
    told("declare", "complaint-contact", *failed)
    assert duties(told, *as_if)["EU-COP-complaints"] == "UNMET"
    told("declare", "complaint-contact", "--file", contact, "--as", "peru")
    assert duties(told, *as_if)["EU-COP-complaints"] == "met"
    evidence = json.loads(told("law", "--json", *as_if))
    assert evidence["log10_flop"] == "23.5"
    (shown,) = [d["shown"] for d in evidence["duties"] if d["id"] == "EU-COP-complaints"]
    assert list(shown) == ["complaint-contact"]


def test_the_document_that_was_declared_lies_among_the_objects(told, atlas, tmp_path):
    file = tmp_path / "dpia.md"
    file.write_text("An assessment.")
    told("declare", "dpia", "--file", file, "--as", "chad")
    assert ObjectStore(atlas / "objects").get(digest_bytes(b"An assessment.")) == b"An assessment."


def test_evidence_that_no_law_file_asks_for_is_refused(told, tmp_path):
    (tmp_path / "x").write_text("x")
    said = told("declare", "trainings-summary", "--file", tmp_path / "x", "--as", "chad", status=2)
    assert "training-summary" in said


@pytest.mark.parametrize("power", ["x", "-1", "41", "NaN", "1e9"])
def test_a_power_that_cannot_be_is_refused(told, power):
    assert "C100" in told("law", f"--log10-flop={power}", status=2)


def test_the_matrix_says_that_it_is_no_advice_and_what_was_not_verified(told):
    shown = told("law")
    assert "not legal advice" in shown
    assert "check with counsel" in shown
    assert "no compute in the log yet" in shown
    assert "UNMET: 10 duties" in shown

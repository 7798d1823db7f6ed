"""`concord policy`: check, explain, and try another one on the past."""

import json

import pytest
from clilab import concord

from concord.base.digest import digest_bytes
from concord.cli.templates import RunChoices, run_toml
from concord.federation.folders import FederationFolder
from concord.federation.founding import Founder
from concord.testing.founded import found

COMPANY = '@id("no-company") @says("No company may take part.") forbid (principal, action == '
COMPANY += 'Concord::Action::"train", resource) when { context.private_owners };\n'


@pytest.fixture
def atlas(tmp_path):
    founders = {
        "chad": Founder(jurisdiction="TD", kind="public-institution"),
        "fiji": Founder(jurisdiction="FJ", kind="public-institution"),
        "peru": Founder(jurisdiction="PE", kind="company"),
    }
    found(tmp_path / "atlas", sorted(founders), founders=founders)
    federation = FederationFolder(tmp_path / "atlas")
    languages = dict.fromkeys(founders, ())
    choices = RunChoices(
        owner_cap="1", name="first", members=sorted(founders), languages=languages, parity=False
    )
    federation.write_run(run_toml(choices), "first")
    return federation


@pytest.fixture
def policy(atlas, capsys):
    """Call `concord policy` as fiji."""

    def call(*words, status=0):
        said = concord(capsys, "policy", words[0], atlas.root, "--as", "fiji", *words[1:])
        assert said.status == status, said.err
        return said.err if status else said.out

    return call


def add_rule(atlas, text):
    path = atlas.member("fiji").policy
    path.write_text(path.read_text() + text)


def test_the_default_file_can_be_used(policy, atlas, capsys):
    told = json.loads(policy("check", "--json"))
    assert told["permits"] == ["as-described", "undescribed-for-open-models"]
    assert "charter-halt" in told["forbids_before_it"]
    assert told["policy"] == digest_bytes(atlas.member("fiji").policy.read_bytes())
    in_force = concord(capsys, "charter", "show", atlas.root, "--json").out
    assert told["charter"] == json.loads(in_force)["digest"]
    assert str(atlas.member("fiji").policy) in policy("check")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('@id("a") permit (principal, action, resource) when { resource.nmae == "" };', "nmae"),
        ('@id("charter-halt") permit (principal, action, resource);', "ids of the charter"),
        ("permit (principal, action, resource);", "no @id"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(policy, atlas, text, fault):
    add_rule(atlas, text)
    told = policy("check", status=2)
    assert "C832" in told
    assert fault in told


def test_a_file_that_is_missing_is_named(policy, atlas):
    atlas.member("fiji").policy.unlink()
    assert "policy.cedar" in policy("check", status=2)
    assert "C832" in policy("explain", "--policy", "nowhere.cedar", status=2)


def test_a_refusal_is_explained_by_rule_and_by_what_would_change_it(policy, atlas):
    add_rule(atlas, COMPANY)
    told = policy("explain")
    assert "undescribed: no" in told
    assert "no-company (the member's own file): No company may take part." in told
    assert "it would be yes if every member of the round had stated that it is no company" in told
    (dataset,) = json.loads(policy("explain", "--json"))["datasets"]
    assert dataset["rules"] == [
        {"id": "no-company", "from": "the member's own file", "says": "No company may take part."}
    ]
    assert not dataset["allowed"]


def test_measuring_is_explained_apart_from_training(policy, atlas):
    add_rule(atlas, COMPANY)
    (dataset,) = json.loads(policy("explain", "--action", "evaluate", "--json"))["datasets"]
    assert dataset["allowed"]


def test_a_rule_of_the_charter_is_said_to_be_one(policy, atlas):
    atlas.member("fiji").write(name="Fiji", text=("text.txt",))
    with atlas.member("fiji").file.open("a") as file:
        file.write('residency = "US"\n')
    told = policy("explain", "--dataset", "undescribed")
    assert "charter-residency (the charter): The text would be read outside" in told
    assert "it would be yes if its text were read in 'FJ'" in told


def test_another_time_can_be_asked_about(policy, atlas):
    add_rule(
        atlas,
        '@id("until") forbid (principal, action == Concord::Action::"train", resource)'
        ' when { context.now >= datetime("2030-01-01") };',
    )
    for at, allowed in ((1_893_455_999, True), (1_893_456_000, False)):
        (dataset,) = json.loads(policy("explain", "--at", at, "--json"))["datasets"]
        assert dataset["allowed"] == allowed


def test_a_dataset_that_was_not_recorded_is_named(policy):
    assert "undescribed" in policy("explain", "--dataset", "news", status=2)


def test_without_past_rounds_nothing_would_have_changed(policy):
    told = json.loads(policy("what-if", "--json"))
    assert told["changed"] == []
    assert told["asked"] == 0

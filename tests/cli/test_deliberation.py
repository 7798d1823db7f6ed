"""The life of a federation on the command line: votes, charters, members, halts, the role."""

import json

import pytest
from clilab import concord

from concord.testing.founded import found

MEMBERS = ["chad", "fiji", "laos", "peru"]


@pytest.fixture
def atlas(tmp_path):
    found(tmp_path / "atlas", MEMBERS, overseers=["amina", "bela", "cora"])
    return tmp_path / "atlas"


@pytest.fixture
def told(atlas, capsys):
    """Call the command on the federation; it must go well."""

    def call(*words, status=0):
        said = concord(capsys, *words)
        assert said.status == status, said.err
        return said.out + said.err

    return call


def decided(told, atlas):
    told("vote", atlas, "yes", "--as", "all")
    return told("tally", atlas, "--decide", "--as", "chad")


def test_an_amendment_is_proposed_discussed_voted_ratified_and_then_binds(told, atlas):
    path = atlas / "charter" / "charter.toml"
    path.write_text(path.read_text().replace('owner_cap = "1"', 'owner_cap = "1/2"'))
    shown = told("charter", "diff", atlas)
    assert '-owner_cap = "1"' in shown
    assert '+owner_cap = "1/2"' in shown
    told("propose", "amend", atlas, "--as", "fiji", "--title", "A lower cap", "--yes")
    told("discuss", atlas, "Half is enough for anybody.", "--as", "laos")
    assert "Half is enough" in told("discuss", atlas)
    assert "in force from" in decided(told, atlas)
    told("ratify", atlas, "--as", "chad")
    told("ratify", atlas, "--as", "all")
    assert told("charter", "diff", atlas).count("owner_cap") == 0
    log = told("log", "show", atlas)
    for word in ("A lower cap", "yes", "adopted"):
        assert word in log


def test_a_vote_that_is_not_over_cannot_be_decided(told, atlas):
    told("propose", "ordinary", atlas, "--as", "peru", "--title", "Meet in Lima", "--yes")
    told("vote", atlas, "yes", "--as", "peru")
    refused = told("tally", atlas, "--decide", "--as", "chad", status=9)
    assert "C820" in refused
    assert "chad, fiji, laos" in refused


def test_a_newcomer_applies_and_is_admitted_on_probation(told, atlas):
    told("join", atlas, "--as", "nepal", "--jurisdiction", "NP")
    told("propose", "admit", atlas, "nepal", "--as", "laos", "--yes")
    decided(told, atlas)
    kinds = [entry["kind"] for entry in json.loads(told("log", "show", atlas, "--json"))]
    assert kinds[-1] == "decision"
    told("propose", "ordinary", atlas, "--as", "chad", "--title", "Who votes?", "--yes")
    assert "no vote" in told("vote", atlas, "yes", "--as", "nepal", status=9)
    assert "nepal" in told("keys", "show", atlas)


def test_a_member_leaves_at_once_and_alone(told, atlas):
    told("leave", atlas, "--as", "peru")
    told("leave", atlas, "--as", "peru", status=9)


def test_a_halt_of_all_by_members_needs_a_quarter_and_its_ground_only_once(told, atlas):
    words = ["halt", "begin", atlas, "--as", "fiji", "--scope", "all", "--ground", "leak"]
    told(*words, "--reason", "A text leaked.")
    assert "in force" in told("halt", "show", atlas)
    again = told(*words, "--reason", "Again.", status=9)
    assert "once" in again


def test_a_halt_of_all_ends_early_by_a_vote_and_the_oversight_body(told, atlas):
    begin = ["halt", "begin", atlas, "--as", "amina", "--scope", "all", "--ground", "audit"]
    told(*begin, "--reason", "Numbers to be checked.")
    told("halt", "end", atlas, "--as", "amina", "--with", "bela", status=9)
    told("propose", "lift-halt", atlas, "--as", "laos", "--yes")
    decided(told, atlas)
    told("halt", "end", atlas, "--as", "amina", status=9)
    told("halt", "end", atlas, "--as", "amina", "--with", "bela")
    assert "lifted" in told("halt", "show", atlas)


def test_a_member_halts_itself_and_goes_on(told, atlas):
    told("halt", "begin", atlas, "--as", "peru", "--ground", "check", "--reason", "Our data.")
    told("halt", "end", atlas, "--as", "peru")


def test_another_member_takes_the_coordinator_only_with_a_majority(told, atlas):
    refused = told("coordinator", "take", atlas, "--as", "laos", status=9)
    assert "more needed" in refused
    told("coordinator", "take", atlas, "--as", "laos", "--with", "peru", "--with", "fiji")
    assert "laos runs the coordinator, term 1" in told("coordinator", "show", atlas)
    told("propose", "ordinary", atlas, "--as", "peru", "--title", "Go on", "--yes")


def test_signatures_are_gathered_in_a_file(told, atlas, tmp_path):
    draft = tmp_path / "takeover.json"
    told("coordinator", "take", atlas, "--as", "laos", "--out", draft)
    told("file", atlas, draft, status=9)
    told("sign", atlas, draft, "--as", "peru", "--yes")
    told("sign", atlas, draft, "--as", "chad", "--yes")
    told("file", atlas, draft)
    assert "laos runs" in told("coordinator", "show", atlas)


def test_a_key_is_exchanged_and_the_old_one_counts_no_more(told, atlas):
    told("keys", "rotate", atlas, "--as", "fiji")
    told("propose", "ordinary", atlas, "--as", "fiji", "--title", "Still here", "--yes")


def test_a_proof_can_be_checked_without_the_log(told, atlas, tmp_path):
    from concord.cli.desk import open_archive
    from concord.federation.folders import FederationFolder
    from concord.ledger.state.library import ObjectLibrary

    charter = open_archive(atlas).state.charter
    proof, keys = tmp_path / "proof.json", tmp_path / "keys.json"
    keys.write_text(told("keys", "show", atlas, "--json"))
    told("prove", atlas, charter, "--out", proof)
    assert "entry 0" in told("prove", "--check", proof, "--keys", keys)
    path = ObjectLibrary(FederationFolder(atlas).objects).objects.path(charter)
    assert charter in told("prove", atlas, path)
    proof.write_bytes(proof.read_bytes().replace(b'"index":0', b'"index":1'))
    assert "C840" in told("prove", "--check", proof, "--keys", keys, status=10)
    assert "C840" in told("prove", atlas, "sha256:" + "0" * 64, status=10)


def test_every_command_of_the_log_reads_well(told, atlas):
    assert "found" in told("log", "show", atlas)
    assert "cosigned" in told("log", "checkpoint", atlas)
    assert "nothing waits" in told("log", "inbox", atlas)
    assert json.loads(told("log", "checkpoint", atlas, "--json"))["size"] == 1

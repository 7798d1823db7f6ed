"""`concord audit` as a member calls it: a rehearsal that sends nothing and changes nothing."""

import hashlib
import json

import pytest

from concord.cli.main import main


def concord(capsys, *arguments):
    status = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        status = done.code
    return status or 0, capsys.readouterr()


def contents(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.processes
def test_it_shows_the_measures_and_changes_nothing(atlas, capsys):
    root, _ = atlas
    before = contents(root / "members" / "fiji")
    status, said = concord(capsys, "audit", "fiji", "--folder", root, "--json")
    assert status == 0, said.err
    found = json.loads(said.out)
    assert found["over"] == []
    assert 0 <= found["update"]["mia_auc"] <= 1 and found["update"]["recited"] == 0
    assert found["canaries_commitment"] is None  # fiji plants none
    after = contents(root / "members" / "fiji")
    assert {path: after[path] for path in before if path.name != "lock"} == before


@pytest.mark.processes
def test_an_update_that_would_be_held_back_ends_with_its_own_status(atlas, capsys):
    root, _ = atlas
    status, said = concord(capsys, "audit", "laos", "--folder", root)
    assert status == 11
    assert "would NOT be sent: over mia_auc" in said.out
    assert "canaries read so far" in said.out


@pytest.mark.processes
def test_a_rehearsal_spends_no_budget(atlas, capsys):
    root, _ = atlas
    record = root / "members" / "togo" / "private" / "privacy" / "courts.json"
    before = record.read_bytes()
    assert concord(capsys, "audit", "togo", "--folder", root)[0] == 0
    assert record.read_bytes() == before


@pytest.mark.processes
def test_who_holds_no_base_is_told_what_to_do(atlas, capsys):
    root, run = atlas
    (root / "runs" / "other.toml").write_text(
        'name = "other"\n' + "".join(f'[[roster]]\nid = "{m}"\n' for m in run.member_ids)
    )
    status, said = concord(capsys, "audit", "fiji", "--folder", root, "--run", "other")
    (root / "runs" / "other.toml").unlink()
    assert status == 5 and "concord run" in said.err

"""`concord scan` on a model folder and a parallel set."""

import json

import pytest
from clilab import concord
from modellab import save_gpt2


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An untrained model, and a parallel set in two languages of two scripts."""
    root = tmp_path_factory.mktemp("scan")
    save_gpt2(root / "model")
    (root / "parallel").mkdir()
    for language, word in (("el", "αβγδ"), ("uk", "абвг")):
        lines = [f"{word} {word[n % 4]} {word} {n % 10}" for n in range(60)]
        (root / "parallel" / f"{language}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_an_untrained_model_is_quiet_and_every_language_is_scanned(place, capsys):
    said = concord(
        capsys, "scan", place / "model", "--parallel", place / "parallel", "--pairs", 64, "--json"
    )
    assert said.status == 0, said.err
    found = json.loads(said.out)
    assert [row["member"] for row in found["members"]] == ["el", "uk"]
    for row in found["members"]:
        assert row["score"] < found["alarm_from"]
        assert not row["alarm"]
        assert row["tried"] > 2


def test_the_table_says_what_a_scan_cannot(place, capsys):
    said = concord(capsys, "scan", place / "model", "--parallel", place / "parallel", "--pairs", 0)
    assert said.status == 0
    assert "no scan proves the absence of a backdoor" in said.out
    assert "strongest trigger" in said.out


def test_a_model_without_a_parallel_set_asks_for_one(place, capsys):
    said = concord(capsys, "scan", place / "model")
    assert said.status == 2
    assert "--parallel" in said.err

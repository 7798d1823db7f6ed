"""Gates, vote, release and what comes after, as a user gives the commands."""

import json
import shutil

import pytest
from clilab import MEMBERS, Federation, concord, documents, write_jsonl

from concord.cli.demo_release import missing
from concord.testing.founded import found

GATES = """
[[gate]]
id = "floor"
metric = "bits-per-byte"
slice = "member"
compare = "previous"
max = "1/10"
run_by = "member"
[[gate]]
id = "bits"
metric = "bits-per-byte"
slice = "language"
max = "20"
run_by = "member"
samples = 10
[[gate]]
id = "recited"
metric = "verbatim"
slice = "member"
max = "1/10"
run_by = "member"
samples = 20
[[gate]]
id = "inside"
metric = "membership-tpr"
slice = "member"
max = "1"
run_by = "member"
samples = 20
[[gate]]
id = "personal"
metric = "personal-data"
max = "1/10"
min_runners = 2
samples = 10
[[gate]]
id = "whole"
metric = "integrity"
max = "0"
[[gate]]
id = "compute"
metric = "compute"
max = "23"
[[gate]]
id = "bias"
metric = "bias-pairs"
slice = "member"
max = "1/2"
run_by = "member"
share = "1/3"
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two rounds, under a charter with gates."""
    federation = Federation(tmp_path_factory.mktemp("released"))
    for seed, member in enumerate(MEMBERS):
        write_jsonl(federation.text(member), documents(seed))
        federation.write_member(member, text=[f"../../../text/{member}.jsonl"])
    federation.write_run(rounds__count=2, evaluation__every_rounds=2)
    found(federation.folder, list(MEMBERS), extra=GATES)
    from concord.cli.main import main

    with pytest.raises(SystemExit) as done:
        main(["run", str(federation.folder)])
    assert not done.value.code
    return federation


def test_from_gates_to_a_release_and_its_withdrawal(finished, capsys):
    atlas = finished.folder
    pairs = finished.root / "pairs.jsonl"
    pairs.write_text('{"stereotyped": "aa bb", "other": "aa cc"}\n{"stereotyped": "x"}\n')

    said = concord(capsys, "gate", "run", atlas, "--as", "chad", "--gate", "bias",
                   "--pairs", f"bias-pairs={pairs}")  # fmt: skip
    assert said.status == 1
    assert "line 2 is no pair" in said.out
    pairs.write_text('{"stereotyped": "aa bb", "other": "aa cc"}\n')
    concord(capsys, "gate", "run", atlas, "--as", "chad", "--gate", "bias",
            "--pairs", f"bias-pairs={pairs}")  # fmt: skip

    # A vote that everybody wins does not help while gates are missing.
    assert concord(capsys, "propose", "release", atlas, "1.0", "--as", "chad", "--yes").status == 0
    assert concord(capsys, "vote", atlas, "yes", "--as", "all").status == 0
    refused = concord(capsys, "tally", atlas, "--decide", "--as", "chad")
    assert refused.status == 9
    assert "gate recited missing" in refused.err
    assert "no vote waives a gate" in refused.err

    ran = concord(capsys, "gate", "run", atlas, "--as", "all", "--json")
    rows = json.loads(ran.out)
    assert {row["result"] for row in rows if row["gate"] != "bias"} == {"passed", "n/a"}, rows
    listed = json.loads(concord(capsys, "gate", "list", atlas, "--json").out)["gates"]
    status = {one["gate"]["id"]: one["status"] for one in listed}
    assert status == dict.fromkeys(status, "passed") | {"floor": "n/a"}
    assert "control_rows" in concord(capsys, "gate", "evidence", atlas, "--gate", "recited").out

    assert concord(capsys, "tally", atlas, "--decide", "--as", "chad").status == 0
    assert concord(capsys, "release", "key", atlas, "--as", "chad").status == 0
    built = concord(capsys, "release", "build", atlas, "--version", "1.0", "--gguf", "none")
    assert built.status == 0, built.err
    place = atlas / "releases" / "1.0"
    assert concord(capsys, "release", "verify", place).status == 10  # a candidate
    shutil.copytree(place / "ledger", finished.root / "before")
    published = concord(capsys, "release", "publish", atlas, "1.0", "--json")
    assert published.status == 0, published.err
    # As if it had been killed before the release got the log: the same command ends it.
    shutil.rmtree(place / "ledger")
    shutil.move(finished.root / "before", place / "ledger")
    assert concord(capsys, "release", "verify", place).status == 10
    again = concord(capsys, "release", "publish", atlas, "1.0", "--json")
    assert json.loads(again.out) == json.loads(published.out)
    checked = concord(capsys, "release", "verify", place, "--json")
    assert checked.status == 0, checked.err
    found_ = json.loads(checked.out)
    assert found_["published"]
    assert "weights compared with the base by chad" in found_["steps"][4]["found"]
    assert "by the release key" in found_["steps"][5]["found"]

    again = concord(capsys, "release", "build", atlas, "--version", "1.0", "--gguf", "none")
    assert "was published before" in again.err
    assert concord(capsys, "release", "advise", atlas, "1.0", "--as", "peru", "--severity", "low",
                   "--title", "Dates").status == 0  # fmt: skip
    assert "advisory, low: Dates" in concord(capsys, "release", "verify", place).out
    withdrawn = concord(capsys, "release", "recall", atlas, "1.0", "--as", "peru", "--ground",
                        "leak", "--reason", "It recites.", "--yes")  # fmt: skip
    assert withdrawn.status == 0, withdrawn.err
    refused = concord(capsys, "release", "verify", place)
    assert refused.status == 10
    assert "was withdrawn by peru on ground leak" in refused.err
    assert concord(capsys, "release", "verify", place, "--withdrawn-too").status == 0


def test_a_gate_is_not_run_on_another_model_than_the_base(finished, capsys):
    model = finished.run_folder / "model" / "model.safetensors"
    kept = model.read_bytes()
    model.write_bytes(kept[:-4] + b"\0\0\0\0")
    said = concord(capsys, "gate", "run", finished.folder, "--as", "chad", "--gate", "recited")
    model.write_bytes(kept)
    assert said.status == 1
    assert "is not base" in said.out


def test_a_gate_or_a_run_that_is_none_is_named(finished, capsys):
    unknown = concord(capsys, "gate", "run", finished.folder, "--as", "chad", "--gate", "vibes")
    assert unknown.status == 2
    assert "has no gate 'vibes'" in unknown.err
    for words in (["gate", "list"], ["gate", "evidence"]):
        said = concord(capsys, *words, finished.folder, "--run", "second")
        assert said.status == 2
        assert "runs with a committed round: first" in said.err
    odd = concord(capsys, "release", "build", finished.folder, "--version", "../2")
    assert odd.status == 2
    assert "no name of a version" in odd.err


def test_the_demo_tells_which_libraries_a_release_would_need():
    assert missing(("json", "no_such_library")) == ["no_such_library"]
    assert missing() == []  # all that tests need is there

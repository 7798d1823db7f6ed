"""The shared gates on a member's own build: what it lost shows, and both digests are named."""

import json
import random

import pytest

from concord.base.canonical import parse_json
from concord.base.errors import KeyRefused, SignatureRefused
from concord.cli.main import main
from concord.crypto.dsse import Envelope
from concord.crypto.keyfiles import save_key
from concord.crypto.keys import PrivateKey
from concord.release.sovereign.record import read_record
from concord.testing.history import key as key_of

FORMATS = {"kind": ("stereotyped", "other"), "harmless": ("toxic", "neutral")}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, loadable):
    """A published release, and a build made from it."""
    root = tmp_path_factory.mktemp("check")
    rng = random.Random(3)
    words = ["Mji", "mkuu", "wa", "Kenya", "ni", "Nairobi"]
    rows = [json.dumps({"text": " ".join(rng.choices(words, k=40))}) for _ in range(90)]
    (root / "own.jsonl").write_text("\n".join(rows))
    for gate, names in FORMATS.items():
        pair = {names[0]: "Nairobi", names[1]: "Mji mkuu", "prompt": "Kenya ni"}
        (root / f"{gate}.jsonl").write_text(json.dumps(pair) + "\n")
    words = ["sovereign", "build", loadable, "--text", root / "own.jsonl", "--tokens", 2048]
    assert call(*words, "--out", root / "mine") == 0
    return root, loadable


def call(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code


def check(lab, *more):
    root, release = lab
    return call(
        *("sovereign", "check", root / "mine", release, "--as", "chad"),
        *("--pairs", f"bias-pairs={root / 'kind.jsonl'}"),
        *("--pairs", f"toxic-continuations={root / 'harmless.jsonl'}"),
        *more,
    )


def test_a_signed_certificate_names_both_models_and_what_each_gate_found(lab, capsys):
    root, loadable = lab
    key = key_of("chad")
    save_key(root / "chad.pem", key)
    assert check(lab, "--key", root / "chad.pem", "--out", root / "chad.dsse.json") == 1
    envelope = Envelope.decode((root / "chad.dsse.json").read_bytes().strip())
    envelope.verify([key.public], 1)
    with pytest.raises(SignatureRefused):
        envelope.verify([PrivateKey.generate().public], 1)
    said = parse_json(envelope.payload)
    record = read_record(root / "mine")
    assert said["record"]["weights"] == record.weights
    assert said["record"]["plan"]["base"]["weights"] == record.plan.base.weights
    assert said["record"]["plan"]["base"]["version"] == "1.0"
    found = {one["gate"]: one for one in said["gates"]}
    assert found["kind"]["result"] == "passed"
    assert found["kind"]["measured"] == {"chad": "0.5"}  # one pair: wholly to one side
    assert found["harmless"]["result"] in ("passed", "failed")
    assert found["log"]["result"] == "not of a build"
    assert found["floor"]["result"] == "not run"  # its text is not here
    assert found["floor"]["why"]
    assert "signed" in capsys.readouterr().out
    words = ["sovereign", "verify", root / "mine", loadable]
    assert call(*words, "--certificate", root / "chad.dsse.json", "--json") == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["steps"]["signature"] == "by chad"
    assert shown["certificate"] == said


def test_nobody_signs_as_a_member_with_another_key(lab, tmp_path, capsys):
    save_key(tmp_path / "other.pem", PrivateKey.generate())
    out = tmp_path / "certificate.json"
    assert check(lab, "--key", tmp_path / "other.pem", "--out", out) == KeyRefused("").exit_status
    assert "is not the key that the log has of chad" in capsys.readouterr().err
    assert not out.exists()


def test_a_build_that_was_altered_or_is_of_another_base_is_refused(lab, tmp_path, capsys):
    root, release = lab
    copy = tmp_path / "mine"
    copy.mkdir()
    for file in (root / "mine").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    assert call("sovereign", "check", copy, release) == 10
    assert "was altered since it was built" in capsys.readouterr().err
    assert call("sovereign", "check", release, release) == 2
    assert "is no sovereign build" in capsys.readouterr().err
    assert not (copy / "certificate.json").exists()


def test_chat_verifies_a_release_that_loads_and_goes_on(lab, capsys):
    _, release = lab
    assert call("chat", release, "Mji", "--max-new-tokens", 3) == 0
    said = capsys.readouterr()
    assert "verified: version 1.0" in said.err
    assert said.out.startswith("Mji")

"""A build that somebody else made is believed with its certificate, and in no other case."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from releaselab import base_of, released, write_again
from safetensors.numpy import load_file, save_file

from concord.base.canonical import canonical_json
from concord.base.clock import SystemClock
from concord.base.digest import digest_file
from concord.base.errors import ConcordError, VerificationFailed
from concord.crypto.dsse import sign_envelope
from concord.crypto.keys import PrivateKey
from concord.ledger.archive import Archive
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.statements.aftermath import Recall
from concord.ledger.statements.membership import KeyRotation
from concord.release.folder import ReleaseFolder
from concord.release.manifest import read_manifest
from concord.release.sovereign.certificate import (
    PAYLOAD_TYPE,
    Certificate,
    GateResult,
    files_of,
)
from concord.release.sovereign.record import Base, Plan, SovereignRecord, read_record
from concord.release.sovereign.verify import verify_build
from concord.release.weights import weights_digest
from concord.testing.history import key

GATES = """
[[gate]]
id = "kind"
metric = "bias-pairs"
slice = "member"
max = "1/2"
blocking = false
[[gate]]
id = "recited"
metric = "verbatim"
slice = "member"
max = "1/100"
run_by = "member"
blocking = false
[[gate]]
id = "whole"
metric = "integrity"
max = "0"
blocking = false
"""
ZERO = "sha256:" + "0" * 64
ANSWERS = (
    GateResult(gate="kind", result="passed", measured={"chad": 0.5}, limit="at most 1/2"),
    GateResult(
        gate="recited", result="failed", measured={"chad": 0.25}, limit="at most 1/100", n=20
    ),
    GateResult(gate="whole", result="not of a build", limit="at most 0"),
)


class Lab:
    """A release, a build made from it, and its certificate: as they should be, or altered."""

    def __init__(self, history, run, release, build):
        self.history, self.run, self.release, self.build = history, run, release, build
        self.file = build / "certificate.json"

    def certify(self, *, signer=None, **changes):
        value = self.said.model_dump(mode="json")
        for name, change in changes.items():
            value[name] = change(value[name]) if callable(change) else change
        self.write(canonical_json(value), signer)

    def write(self, payload, signer=None, kind=PAYLOAD_TYPE):
        signer = signer or key("chad")
        self.file.write_bytes(sign_envelope(payload, kind, [signer]).encode() + b"\n")

    def verify(self, **how):
        return verify_build(self.build, self.release.root, self.file, clock=SystemClock(), **how)

    def newer(self):
        write_again(self.history)
        return Archive(self.history.root / "log", ObjectLibrary(self.history.objects))


def write_record(build, release, run):
    """Say of a folder that it was made from a release."""
    base = Base(
        weights=read_manifest(release.manifest).weights,
        tokenizer=digest_file(release.root / "tokenizer.json"),
        manifest=digest_file(release.manifest),
        version="1.0",
    )
    plan = Plan(base=base, train=ZERO, heldout=ZERO, inner=run.run.inner, context=8, steps=1)
    record = SovereignRecord(
        plan=plan,
        weights=weights_digest([build / "model.safetensors"]),
        train_documents=1,
        train_bytes=1,
        heldout_documents=0,
        tokens=1,
        flops=1,
        measured={},
    )
    (build / "sovereign.json").write_text(record.text)


def certificate(history, build, gates=()):
    return Certificate(
        issuer="chad",
        federation=history.state.federation,
        charter=history.state.charter,
        at=history.now,
        record=read_record(build),
        files=files_of(build, []),
        gates=gates,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    history, run, release = released(root / "atlas", extra=GATES)
    build = root / "mine"
    build.mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(release.root / name, build / name)
    weights = load_file(release.root / "model.safetensors")
    trained = {name: value + np.float32(0.5) for name, value in weights.items()}
    save_file(trained, build / "model.safetensors")
    write_record(build, release, run)
    return history, run, release, build


@pytest.fixture
def lab(made, tmp_path):
    history, run, release, build = made
    shutil.copytree(build, tmp_path / "mine")
    shutil.copytree(release.root, tmp_path / "1.0")
    found = Lab(history, run, ReleaseFolder(tmp_path / "1.0"), tmp_path / "mine")
    found.said = certificate(history, found.build, ANSWERS)
    found.certify()
    return found


def test_a_true_certificate_names_release_build_and_gates(lab):
    found = lab.verify()
    assert [name for name, _ in found.steps] == ["base", "signature", "names", "model", "gates"]
    said = dict(found.steps)
    assert said["signature"] == "by chad"
    assert said["gates"] == "1 of 3 passed"
    assert lab.said.record.weights in said["names"]
    assert found.certificate == lab.said


def edit(name):
    def alter(lab):
        file = lab.build / name
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)

    return alter


def gate(index, **changes):
    return lambda gates: [g | changes if i == index else g for i, g in enumerate(gates)]


def base(**changes):
    def alter(record):
        plan = record["plan"]
        return record | {"plan": plan | {"base": plan["base"] | changes}}

    return alter


def signed_by(signer):
    return lambda lab: lab.certify(signer=signer)


def says(**changes):
    return lambda lab: lab.certify(**changes)


def unsigned(lab):
    lab.file.write_bytes(lab.said.encode(None))


def one_word_changed(lab):
    data = lab.file.read_bytes()
    payload = canonical_json(lab.said.model_dump(mode="json"))
    lab.write(payload.replace(b'"failed"', b'"passed"'))
    signature = lab.file.read_bytes()
    lab.file.write_bytes(signature[: signature.index(b'"signatures"')])
    lab.file.write_bytes(lab.file.read_bytes() + data[data.index(b'"signatures"') :])


ALTERATIONS = {
    "the weights": (edit("model.safetensors"), "was altered since it was certified"),
    "the configuration": (edit("config.json"), "was altered since it was certified"),
    "the tokenizer": (edit("tokenizer.json"), "was altered since it was certified"),
    "the record": (edit("sovereign.json"), "was altered since it was certified"),
    "a file that is gone": (lambda lab: (lab.build / "config.json").unlink(), "is missing"),
    "a file too many": (
        lambda lab: (lab.build / "modeling.py").write_text("import os"),
        "is no file that the certificate names",
    ),
    "a link": (lambda lab: (lab.build / "more").symlink_to("/etc"), "is a link"),
    "no certificate": (lambda lab: lab.file.unlink(), "cannot be read"),
    "a certificate that nobody signed": (unsigned, "is not signed"),
    "a certificate changed after it was signed": (one_word_changed, "was not signed by chad"),
    "another member's key": (signed_by(key("fiji")), "was not signed by chad"),
    "a stranger's key": (signed_by(PrivateKey.generate()), "was not signed by chad"),
    "the witness key": (signed_by(key("chad", "witness")), "was not signed by chad"),
    "a maker who is no member": (says(issuer="togo"), "'togo' is no member"),
    "no maker": (says(issuer=None), "names no member as its maker"),
    "another federation": (says(federation=ZERO), "it names federation"),
    "another release": (says(record=base(manifest=ZERO)), "it names manifest"),
    "no release": (says(record=base(manifest=None)), "it names manifest None"),
    "another version": (says(record=base(version="2.0")), "it names version 2.0"),
    "another base": (says(record=base(weights=ZERO)), "it names weights"),
    "another base's tokenizer": (says(record=base(tokenizer=ZERO)), "it names tokenizer"),
    "another build": (says(record=lambda r: r | {"weights": ZERO}), "holds other weights"),
    "a charter that nobody knows": (says(charter=ZERO), "under no charter"),
    "a time before its base": (says(at=1), "was made before its base"),
    "a time to come": (says(at=2**40), "is of the future"),
    "a gate left out": (says(gates=lambda g: g[1:]), "is silent about kind"),
    "a gate too many": (says(gates=lambda g: [*g, g[0]]), "answers other gates"),
    "a failure called a pass": (says(gates=gate(1, result="passed")), "gate recited what does"),
    "a failure called not run": (says(gates=gate(1, result="not run")), "gate recited what does"),
    "a laxer limit": (says(gates=gate(1, limit="at most 1/2")), "gate recited what does"),
    "numbers left out": (says(gates=gate(0, measured={})), "gate kind what does"),
    "not run for no reason": (
        says(gates=gate(0, measured={}, result="not run")),
        "gate kind what does",
    ),
    "a word that is none": (says(gates=gate(0, result="great")), "gates"),
    "another kind of envelope": (
        lambda lab: lab.write(b"{}", kind="application/json"),
        "is no certificate of a build",
    ),
    "an altered base": (
        lambda lab: (lab.release.root / "README.md").write_text("x"),
        "README.md|bytes",
    ),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_alteration_is_found_and_named(lab, name):
    alter, message = ALTERATIONS[name]
    alter(lab)
    with pytest.raises(VerificationFailed) as refused:
        lab.verify()
    assert re.search(message, f"{refused.value.where} {refused.value.message}"), refused.value


def test_a_maker_who_is_no_member_is_believed_by_a_key_from_elsewhere(lab):
    stranger = PrivateKey.generate()
    lab.certify(signer=stranger, issuer=None)
    assert dict(lab.verify(key=stranger.public).steps)["signature"] == "by the key that you named"
    with pytest.raises(VerificationFailed, match="was not signed by the key that you named"):
        lab.verify(key=PrivateKey.generate().public)


def test_a_key_from_elsewhere_does_not_take_the_place_of_the_log(lab):
    stranger = PrivateKey.generate()
    lab.certify(signer=stranger)
    with pytest.raises(VerificationFailed, match="is by chad, whose key in the log is"):
        lab.verify(key=stranger.public)


def test_the_base_need_not_be_whole(lab):
    (lab.release.root / "model.safetensors").unlink()
    assert lab.verify().certificate == lab.said


def test_a_changed_key_and_a_withdrawn_base_are_known_from_a_newer_log(tmp_path):
    history, run, release = released(tmp_path / "atlas")
    build = tmp_path / "mine"
    shutil.copytree(release.root, build, ignore=shutil.ignore_patterns("ledger", "gates", "papers"))
    write_record(build, release, run)
    lab = Lab(history, run, release, build)
    lab.said = certificate(history, build)
    new = key("chad", number=2)
    rotation = KeyRotation(purpose="identity", old=key("chad").public.text, new=new.public.text)
    history.say(rotation, "chad", also=[new])
    lab.certify(signer=new)
    with pytest.raises(VerificationFailed, match="was not signed by chad"):
        lab.verify()
    assert lab.verify(newer=lab.newer())
    model = base_of(history, run)
    history.say(Recall(version="1.0", model=model, ground="leak", reason="It recites."), "peru")
    with pytest.raises(VerificationFailed, match="was withdrawn by peru"):
        lab.verify(newer=lab.newer())
    assert lab.verify(newer=lab.newer(), withdrawn_too=True).notices[0].startswith("WITHDRAWN")


PLAIN = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "tokenizers", "jinja2", "gguf"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from concord.cli.main import main
main(sys.argv[1:])
"""


def test_the_command_needs_no_torch_and_says_which_gate_failed(lab):
    words = ["sovereign", "verify", str(lab.build), str(lab.release.root)]
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr  # true, and a gate failed
    assert "by chad" in done.stdout
    assert "recited" in done.stdout
    assert "failed" in done.stdout


def test_a_certificate_holds_no_error_but_ours(lab):
    for data in (b"", b"[]", b"{}", b'{"format":1}', b"\xff" * 40, b"{" * 5000):
        lab.file.write_bytes(data)
        with pytest.raises(ConcordError):
            lab.verify()

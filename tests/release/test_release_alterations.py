"""A release is altered in one place: what was altered is found, and named.

`alter` gets a copy of a published release. Some alterations write manifest and sums anew, as one
does who holds no key but the files; some are by a coordinator that publishes what it should not.
"""

import json
import os
import shutil
from base64 import b64decode, b64encode
from dataclasses import dataclass

import pytest
from releaselab import (
    GATES,
    all_evidence,
    base_of,
    build,
    decide,
    evidence,
    history_with_a_run,
    publish,
    released,
    verified,
    write_again,
)

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import digest_file
from concord.base.errors import VerificationFailed
from concord.charter.gates import Gate
from concord.ledger.statements.aftermath import Advisory, Recall
from concord.release.folder import ReleaseFolder
from concord.release.ledger import write_ledger
from concord.release.manifest import FileEntry, read_manifest
from concord.release.signature import new_release_key, public_pem, sign_release

P_256 = bytes.fromhex("06082a8648ce3d030107")
"""The curve's object identifier in DER (RFC 5480)."""
RECITED = "gates/recited/chad.dsse.json"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    new_release_key(root / "key.pem")
    how = {
        "release_key": public_pem(root / "key.pem"),
        "sign": lambda release: sign_release(release, root / "key.pem"),
    }
    return released(root, how, extra=GATES)


@pytest.fixture
def copy(published, tmp_path):
    shutil.copytree(published[2].root, tmp_path / "copy" / "1.0")
    return ReleaseFolder(tmp_path / "copy" / "1.0")


@dataclass
class Case:
    name: str
    alter: object
    where: str
    message: str


CASES = []


def case(where, message):
    def add(alter):
        CASES.append(Case(alter.__name__, alter, where, message))
        return alter

    return add


def flip(path, place=-1):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def reissue(release, **changes):
    """Manifest and sums written anew for the files that are there."""
    manifest = read_manifest(release.manifest)
    files = {
        path: FileEntry(
            bytes=(release.root / path).stat().st_size,
            sha256=digest_file(release.root / path).removeprefix("sha256:"),
        )
        for path in manifest.files
        if (release.root / path).is_file()
    }
    manifest = manifest.model_copy(update={"files": files, **changes})
    release.manifest.write_bytes(manifest.data)
    release.sums.write_bytes(manifest.sums())


def rename_in_manifest(release, old, new):
    value = parse_json(release.manifest.read_bytes())
    value["files"][new] = value["files"].pop(old) if old else value["files"]["config.json"]
    release.manifest.write_bytes(canonical_json(value))


def bundle(release):
    (path,) = (release.log / "tile" / "entries").rglob("*/*")
    return path


# --- files ------------------------------------------------------------------------------------


@case("model.safetensors", "was altered")
def a_weight(release):
    flip(release.root / "model.safetensors")


@case("config.json", "was altered")
def a_setting(release):
    flip(release.root / "config.json", 2)


@case("tokenizer.json", "bytes, not")
def a_longer_tokenizer(release):
    with (release.root / "tokenizer.json").open("a") as stream:
        stream.write(" ")


@case("generation_config.json", "is missing")
def a_missing_file(release):
    (release.root / "generation_config.json").unlink()


@case("modeling_evil.py", "is no file of this release")
def an_extra_file(release):
    (release.root / "modeling_evil.py").write_text("import os")


@case(".cache/x", "is no file of this release")
def an_extra_hidden_file(release):
    (release.root / ".cache").mkdir()
    (release.root / ".cache" / "x").write_text("x")


@case("empty", "is an empty folder")
def an_extra_folder(release):
    (release.root / "empty").mkdir()


@case("config.json", "is a link")
def a_link_in_the_place_of_a_file(release):
    path = release.root / "config.json"
    path.rename(release.root.parent / "elsewhere.json")
    path.symlink_to(release.root.parent / "elsewhere.json")


@case("gates", "is a link")
def a_link_in_the_place_of_a_folder(release):
    shutil.move(release.gates, release.root.parent / "gates")
    release.gates.symlink_to(release.root.parent / "gates")


@case("pipe", "is no plain file")
def a_pipe(release):
    os.mkfifo(release.root / "pipe")


@case("manifest.json", "cannot be read")
def no_manifest(release):
    release.manifest.unlink()


@case("manifest.json", "canonical")
def a_manifest_with_a_space(release):
    release.manifest.write_bytes(release.manifest.read_bytes() + b" ")


@case("SHA256SUMS", "does not say what the manifest says")
def sums_of_something_else(release):
    flip(release.sums, 3)


# --- paths ------------------------------------------------------------------------------------


@case("manifest.json", "no path that a file of a release may have")
def a_path_that_leads_out(release):
    rename_in_manifest(release, "config.json", "../config.json")


@case("manifest.json", "no path that a file of a release may have")
def an_absolute_path(release):
    rename_in_manifest(release, "config.json", "/etc/passwd")


@case("manifest.json", "no path that a file of a release may have")
def a_windows_path(release):
    rename_in_manifest(release, "config.json", "c:\\config.json")


@case("manifest.json", "no path that a file of a release may have")
def a_path_into_the_ledger(release):
    rename_in_manifest(release, "config.json", "ledger/config.json")


@case("manifest.json", "where case does not count")
def two_names_in_one(release):
    rename_in_manifest(release, None, "CONFIG.json")


@case("manifest.json", "both a file and a folder")
def a_file_that_is_a_folder(release):
    rename_in_manifest(release, None, "config.json/x")


# --- files with a manifest written anew -------------------------------------------------------


@case("manifest.json", "is not the manifest that was published")
def a_weight_with_a_new_manifest(release):
    flip(release.root / "model.safetensors")
    reissue(release)


@case("manifest.json", "is not the manifest that was published")
def gate_evidence_that_is_left_out(release):
    (release.root / RECITED).unlink()
    reissue(release)


@case("manifest.json", "is not the manifest that was published")
def another_licence(release):
    reissue(release, licence="LicenseRef-mine")


@case("model", "is no base of run first")
def another_model_in_the_manifest(release):
    reissue(release, model="sha256:" + "0" * 64)


@case("ledger/log", "was not published")
def another_version(release):
    reissue(release, version="2.0")


@case("ledger/log", "is of another federation")
def another_federation(release):
    reissue(release, federation="sha256:" + "0" * 64)


# --- the log ----------------------------------------------------------------------------------


@case("entry", "not the entry that the tree holds")
def a_vote(release):
    path = bundle(release)
    data = path.read_bytes()
    assert b'"sig":"' in data
    path.write_bytes(data.replace(b'"sig":"', b'"sig":"A', 1).replace(b'=="}]', b'="}]', 1))


@case("log/checkpoint", "is no checkpoint")
def a_damaged_checkpoint(release):
    path = release.log / "checkpoint"
    path.write_bytes(path.read_bytes()[:-9])


@case("checkpoint", "members cosigned the checkpoint")
def a_checkpoint_without_witnesses(release):
    path = release.log / "checkpoint"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5]))


@case("entry 0", "object is missing")
def a_missing_charter(release):
    for path in release.objects.rglob("*"):
        if path.is_file() and b"[organs]" in path.read_bytes():
            path.unlink()


@case("ledger/log/extra", "is no file of the log")
def an_extra_file_in_the_log(release):
    (release.log / "extra").write_text("x")


@case("ledger/proofs/manifest.json", "is missing")
def a_missing_proof(release):
    (release.proofs / "manifest.json").unlink()


@case("ledger/proofs/manifest.json", "is of another digest")
def a_proof_of_something_else(release):
    shutil.copy(release.proofs / "model.json", release.proofs / "manifest.json")


@case("ledger/proofs/decision.json", "the proof does not hold")
def a_proof_with_another_path(release):
    path = release.proofs / "decision.json"
    value = json.loads(path.read_text())
    value["statements"][0]["path"][0] = "0" * 64
    path.write_bytes(canonical_json(value) + b"\n")


# --- the release key --------------------------------------------------------------------------


@case("model.sig", "is missing")
def no_signature(release):
    release.signature.unlink()


@case("model.sig", "was not made by the release key")
def a_signature_by_another_key(release):
    release.signature.unlink()
    new_release_key(release.root.parent / "other.pem")
    sign_release(release, release.root.parent / "other.pem")


@case("model.sig", "is no signature bundle")
def a_signature_that_is_none(release):
    release.signature.write_text('{"dsseEnvelope": 1}')


@pytest.mark.parametrize("one", CASES, ids=[one.name for one in CASES])
def test_an_altered_release_is_refused_and_the_place_named(copy, one):
    one.alter(copy)
    with pytest.raises(VerificationFailed) as refused:
        verified(copy)
    assert one.message in refused.value.message
    assert one.where in (refused.value.where or "")


def test_there_are_thirty_alterations_and_the_unaltered_copy_passes(copy):
    assert len(CASES) >= 30
    assert verified(copy).published


# --- a coordinator that publishes what it should not ------------------------------------------


@pytest.fixture
def gated(tmp_path):
    history, run = history_with_a_run(tmp_path, extra=GATES)
    all_evidence(history, run)
    decide(history, run)
    return history, run


def published_after(gated, alter):
    """The coordinator alters the release before it says that it is published."""
    history, run = gated
    release, _ = build(history, run)
    alter(release)
    reissue(release)
    publish(history, release, read_manifest(release.manifest))
    return release


def test_published_without_evidence_that_the_log_names(gated):
    release = published_after(gated, lambda one: (one.root / RECITED).unlink())
    with pytest.raises(VerificationFailed, match="evidence that the log names is missing"):
        verified(release)


def test_published_with_evidence_that_was_changed(gated):
    release = published_after(gated, lambda one: flip(one.root / RECITED, 60))
    with pytest.raises(VerificationFailed, match="is not the evidence that the log names"):
        verified(release)


def test_published_with_other_weights(gated):
    release = published_after(gated, lambda one: flip(one.root / "model.safetensors"))
    with pytest.raises(VerificationFailed, match="holds weights"):
        verified(release)


def test_evidence_that_its_runner_did_not_sign(tmp_path):
    history, run = history_with_a_run(tmp_path, extra=GATES)
    all_evidence(history, run)
    evidence(history, "whole", "fiji", base_of(history, run), keys=[history.key("chad")])
    decide(history, run)
    release, manifest = build(history, run)
    publish(history, release, manifest)
    with pytest.raises(VerificationFailed, match="was not signed by fiji"):
        verified(release)


@pytest.mark.parametrize("odd", [{"data_offsets": [0.0, 4.0]}, {"shape": [True]}])
def test_published_with_weights_whose_header_holds_odd_numbers(gated, odd):
    def alter(release):
        entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | odd
        header = json.dumps({"x": entry}).encode()
        data = len(header).to_bytes(8, "little") + header + bytes(4)
        (release.root / "model.safetensors").write_bytes(data)

    release = published_after(gated, alter)
    with pytest.raises(VerificationFailed, match="x has odd numbers"):
        verified(release)


def test_published_with_a_release_key_on_a_curve_that_nobody_knows(gated):
    history, run = gated
    new_release_key(history.root / "key.pem")
    pem = public_pem(history.root / "key.pem")
    body = b64decode("".join(pem.splitlines()[1:-1]))
    other = body.replace(P_256, P_256[:-1] + b"\x6f")
    lines = ("-----BEGIN PUBLIC KEY-----", b64encode(other).decode(), "-----END PUBLIC KEY-----")
    release, manifest = build(
        history,
        run,
        release_key="\n".join(lines),
        sign=lambda one: sign_release(one, history.root / "key.pem"),
    )
    publish(history, release, manifest)
    with pytest.raises(VerificationFailed, match="is no signature bundle"):
        verified(release)


def with_false_evidence(root, **how):
    """A release for which fiji's file says something else than the charter or its statement."""
    history, run = history_with_a_run(root, extra=GATES)
    all_evidence(history, run)
    evidence(history, "whole", "fiji", base_of(history, run), **how)
    decide(history, run)
    return build(history, run)[0]


def test_evidence_of_a_gate_with_a_laxer_limit(tmp_path):
    lax = Gate(id="whole", metric="integrity", max="9", min_runners=2)
    release = with_false_evidence(tmp_path, ran=lax)
    with pytest.raises(VerificationFailed, match="is of another declaration of the gate"):
        verified(release, candidate=True)


def test_evidence_that_says_something_else_than_its_statement(tmp_path):
    release = with_false_evidence(tmp_path, said=1.0)
    with pytest.raises(VerificationFailed, match="says something else than its statement"):
        verified(release, candidate=True)


# --- afterwards -------------------------------------------------------------------------------


def test_a_withdrawal_is_shown_wherever_the_release_is_checked(published, tmp_path):
    history, run, release = released(tmp_path)
    model = base_of(history, run)
    history.say(
        Advisory(version="1.0", model=model, severity="high", title="Dates", text="Wrong."), "peru"
    )
    body = Recall(version="1.0", model=model, ground="leak", reason="It recites a letter.")
    history.say(body, "peru")
    write_again(history)
    newer = ReleaseFolder(tmp_path / "newer")
    newer.root.mkdir()
    write_ledger(history.root, newer, {})
    from concord.release.ledger import open_ledger

    assert verified(release).notices == ()
    with pytest.raises(VerificationFailed, match="was withdrawn by peru on ground leak"):
        verified(release, newer=open_ledger(newer))
    found = verified(release, newer=open_ledger(newer), withdrawn_too=True)
    assert found.notices[0].startswith("WITHDRAWN")
    assert "advisory, high: Dates" in found.notices[1]
    with pytest.raises(VerificationFailed, match="is not the log of this release"):
        verified(published[2], newer=open_ledger(newer))

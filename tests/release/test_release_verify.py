"""A release is checked from its folder alone, and says what it is."""

import json
import subprocess
import sys

import pytest
from releaselab import VERSION, build, decide, history_with_a_run, publish, released, verified

from concord.base.errors import DocumentError, StatementRefused, VerificationFailed
from concord.release.folder import release_place
from concord.release.verify import STEPS


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return released(tmp_path_factory.mktemp("published"))


def test_a_published_release_is_verified_from_its_folder_alone(published):
    history, run, release = published
    found = verified(release)
    assert [step.name for step in found.steps] == list(STEPS)
    assert found.published
    assert found.manifest.model == history.state.run(run.digest).base
    assert found.archive.state.digest == history.state.digest


def test_a_release_of_another_federation_than_the_reader_wants_is_refused(published):
    with pytest.raises(VerificationFailed, match="not sha256:00"):
        verified(published[2], federation="sha256:" + "0" * 64)


def test_a_candidate_is_verified_only_as_one(tmp_path):
    history, run = history_with_a_run(tmp_path)
    release, manifest = build(history, run)
    assert manifest.decision is None
    with pytest.raises(VerificationFailed, match="this is a candidate"):
        verified(release)
    assert not verified(release, candidate=True).published


def test_a_candidate_is_replaced_and_a_published_version_is_not(tmp_path):
    history, run = history_with_a_run(tmp_path)
    build(history, run)
    decide(history, run)
    release, manifest = build(history, run)
    publish(history, release, manifest)
    with pytest.raises(DocumentError, match="was published before"):
        build(history, run)
    assert verified(release).published
    assert not [path for path in release.root.parent.iterdir() if path.name.startswith(".")]


def test_nothing_is_published_that_the_members_did_not_decide(tmp_path):
    history, run = history_with_a_run(tmp_path)
    decide(history, run, chad="no", fiji="no")
    release, manifest = build(history, run)
    assert manifest.decision is None
    with pytest.raises(StatementRefused, match="no adopted decision"):
        publish(history, release, manifest.model_copy(update={"decision": manifest.model}))


def test_an_export_that_fails_leaves_nothing_behind(tmp_path):
    history, run = history_with_a_run(tmp_path)

    def fails(_):
        raise DocumentError("no")

    with pytest.raises(DocumentError):
        build(history, run, exporters=[fails])
    assert not list((tmp_path / "releases").iterdir())


def test_weights_of_another_model_are_not_built(tmp_path):
    history, run = history_with_a_run(tmp_path)

    def other(path):
        (path / "model.safetensors").write_bytes(
            (path / "model.safetensors").read_bytes()[:-4] + b"\0\0\0\0"
        )

    with pytest.raises(VerificationFailed, match="not those of base"):
        build(history, run, exporters=[other])


@pytest.mark.parametrize("version", ["", "../1", "a/b", ".1", "1..0", "v 1", "x" * 65])
def test_a_version_that_is_no_folder_is_refused(tmp_path, version):
    with pytest.raises(DocumentError):
        release_place(tmp_path, version)
    assert release_place(tmp_path, VERSION).root == tmp_path / "releases" / VERSION


PLAIN = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "jinja2", "gguf"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from concord.cli.main import main
main(sys.argv[1:])
"""


def test_the_command_needs_neither_torch_nor_the_libraries_that_made_the_release(published):
    words = [sys.executable, "-c", PLAIN, "release", "verify", str(published[2].root), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["published"]

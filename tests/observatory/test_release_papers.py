"""Papers of a release: shown where the manifest is the signed one, and otherwise a word why not."""

import json

import pytest

from concord.base.digest import digest_bytes
from concord.observatory.pages.book import ReleaseBook
from concord.observatory.pages.releases import papers

FILES = {
    "README.md": {"bytes": 10, "sha256": "ab" * 32},
    "gates/floor/chad.dsse.json": {"bytes": 20, "sha256": "cd" * 32},
    "model.safetensors": {"bytes": 30, "sha256": "ef" * 32},
}
DATA = json.dumps({"format": "concord-release/1", "files": FILES}).encode()


def shown(root, manifest, version="1.0"):
    (found,) = papers(root, [ReleaseBook(0, 0, version, "", manifest, "")])
    return found


@pytest.fixture
def root(tmp_path):
    (tmp_path / "releases" / "1.0").mkdir(parents=True)
    (tmp_path / "releases" / "1.0" / "manifest.json").write_bytes(DATA)
    return tmp_path


def test_files_of_the_signed_manifest_are_shown_and_papers_told_from_the_rest(root):
    found = shown(root, digest_bytes(DATA))
    assert found.fault == ""
    assert [one.name for one in found.found] == sorted(FILES)
    assert [one.name for one in found.found if one.is_paper] == ["README.md"]


def test_a_manifest_that_was_not_signed_is_not_shown(root):
    found = shown(root, digest_bytes(b"another"))
    assert found.found == ()
    assert "not the one that was signed" in found.fault


@pytest.mark.parametrize("version", ["2.0", "../1.0", ".hidden"])
def test_a_version_without_a_folder_of_its_own_is_told(root, version):
    found = shown(root, digest_bytes(DATA), version)
    assert found.found == ()
    assert "not here" in found.fault


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b"{}", b'{"files":[]}', b'{"files":{"a":{"bytes":"x","sha256":""}}}']
)
def test_a_manifest_that_is_none_is_told_even_where_it_was_signed(root, data):
    (root / "releases" / "1.0" / "manifest.json").write_bytes(data)
    found = shown(root, digest_bytes(data))
    assert "cannot be read" in found.fault
    assert (found.found, found.data) == ((), "")

"""`model.sig` is what others' tools take it for: OpenSSF's own library checks it."""

import pytest
from model_signing import verifying
from releaselab import released, verified

from concord.base.errors import KeyRefused
from concord.release.signature import new_release_key, public_pem, sign_release


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    root = tmp_path_factory.mktemp("signed")
    key = root / "key.pem"
    new_release_key(key)
    how = {"release_key": public_pem(key), "sign": lambda one: sign_release(one, key)}
    return released(root / "atlas", how)[2], key


def check(release, pem, tmp_path):
    (tmp_path / "public.pem").write_text(pem)
    config = verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "public.pem")
    config.verify(release.root, release.signature)


def test_the_library_of_others_accepts_it(signed, tmp_path):
    release, key = signed
    check(release, public_pem(key), tmp_path)
    assert "by the release key" in verified(release).steps[5].found


@pytest.mark.parametrize("name", ["model.safetensors", "manifest.json", "SHA256SUMS"])
def test_the_library_of_others_finds_an_altered_file(signed, tmp_path, name):
    release, key = signed
    file = release.root / name
    before = file.read_bytes()
    try:
        file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        with pytest.raises(ValueError, match=f"Hash mismatch for .*{name}"):
            check(release, public_pem(key), tmp_path)
    finally:
        file.write_bytes(before)


def test_the_library_of_others_refuses_another_key(signed, tmp_path):
    release, _ = signed
    new_release_key(tmp_path / "other.pem")
    with pytest.raises(ValueError, match="Key mismatch"):
        check(release, public_pem(tmp_path / "other.pem"), tmp_path)


def test_a_file_that_is_no_release_key_signs_nothing(signed, tmp_path):
    release, _ = signed
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(KeyRefused, match="is no release key"):
        sign_release(release, tmp_path / "key.pem")

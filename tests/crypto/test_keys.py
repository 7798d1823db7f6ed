"""Keys: the vectors of RFC 8032, and every file that is no private key of ours."""

import os
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from concord.base.errors import KeyRefused, SignatureRefused
from concord.crypto.keyfiles import check_private, load_key, save_key
from concord.crypto.keys import PrivateKey, PublicKey

# RFC 8032, section 7.1, tests 1 to 3: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
            "f9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
            "f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098"
            "4dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_rfc_8032_vectors(seed, public, message, signature):
    key = PrivateKey.from_seed(bytes.fromhex(seed))
    assert key.public.raw.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    key.public.verify(bytes.fromhex(signature), bytes.fromhex(message))


def test_a_signature_of_other_bytes_or_by_another_key_is_refused():
    key, other = PrivateKey.generate(), PrivateKey.generate()
    signature = key.sign(b"yes")
    for public, claim, data in [
        (key.public, signature, b"no"),
        (other.public, signature, b"yes"),
        (key.public, signature[:-1], b"yes"),
        (key.public, b"", b"yes"),
        (key.public, bytes(64), b"yes"),
    ]:
        with pytest.raises(SignatureRefused):
            public.verify(claim, data)


def test_a_signature_with_its_scalar_moved_by_the_group_order_is_refused():
    key = PrivateKey.generate()
    signature = key.sign(b"ballot")
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(signature[32:], "little") + order
    with pytest.raises(SignatureRefused):
        key.public.verify(signature[:32] + scalar.to_bytes(32, "little"), b"ballot")


def _add(a, b):
    """Sum of two points of the curve -x^2 + y^2 = 1 + d x^2 y^2."""
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P
    return x, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P


def _small_order_points():
    """All eight: multiples of a point of order 8, found from y^4 d + 2 y^2 - 1 = 0 with x = y i."""
    root = pow(2, (P - 1) // 4, P)
    square = pow(1 + D, (P + 3) // 8, P)
    square = square if square * square % P == (1 + D) % P else square * root % P
    candidates = [(sign * square - 1) * pow(D, -1, P) % P for sign in (1, -1)]
    for y2 in candidates:
        y = pow(y2, (P + 3) // 8, P)
        y = y if y * y % P == y2 else y * root % P
        if y * y % P == y2:
            points = [(0, 1)]
            for _ in range(7):
                points.append(_add(points[-1], (y * root % P, y)))
            return points
    raise AssertionError("no point of order 8")


def test_every_key_of_small_order_is_refused():
    points = _small_order_points()
    assert len(set(points)) == 8
    assert _add(points[-1], points[1]) == (0, 1)
    for x, y in points:
        for bit in {x & 1, 0, 1}:  # with x = 0 a careless reader takes both signs
            with pytest.raises(KeyRefused, match="forged"):
                PublicKey((y | bit << 255).to_bytes(32, "little"))


def test_the_key_of_order_one_would_have_accepted_any_message():
    identity = (1).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"anything at all")
    with pytest.raises(KeyRefused):
        PublicKey(identity)


@pytest.mark.parametrize("y", [P, P + 1, P + 3, 2**255 - 1])
def test_a_second_spelling_of_a_key_is_refused(y):
    with pytest.raises(KeyRefused):
        PublicKey(y.to_bytes(32, "little"))


def test_text_and_id_name_a_key():
    key = PrivateKey.from_seed(bytes.fromhex(RFC_8032[0][0])).public
    assert key.text == "ed25519:" + RFC_8032[0][1]
    assert key.key_id == "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9"
    assert PublicKey.parse(key.text) == key
    assert len({key, PublicKey.parse(key.text)}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ed25519:",
        "ed25519:" + "d7" * 31,
        "ed25519:" + "d7" * 33,
        "ed25519:" + "D7" * 32,
        "ed25519:" + "d7" * 32 + "\n",
        " ed25519:" + "d7" * 32,
        "x25519:" + "d7" * 32,
        "d7" * 32,
        "ed25519:" + "٣" * 64,
    ],
)
def test_other_texts_are_no_keys(text):
    with pytest.raises(KeyRefused):
        PublicKey.parse(text)


def test_a_private_key_shows_its_public_half_only():
    key = PrivateKey.from_seed(bytes(range(32)))
    assert repr(key) == f"PrivateKey({key.public.text})"
    with pytest.raises(KeyRefused):
        PrivateKey.from_seed(b"short")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "signing.key"


def test_a_key_file_is_read_back_and_is_its_owners_alone(path):
    key = PrivateKey.generate()
    save_key(path, key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["signing.key"]
    assert load_key(path).sign(b"x") == key.sign(b"x")
    reference = load_pem_private_key(path.read_bytes(), password=None)
    assert reference.sign(b"x") == key.sign(b"x")


def test_a_key_is_never_overwritten(path):
    path.write_text("something dear")
    with pytest.raises(KeyRefused, match="never overwritten"):
        save_key(path, PrivateKey.generate())
    assert path.read_text() == "something dear"
    link = path.with_name("dangling")
    link.symlink_to(path.with_name("nowhere"))
    with pytest.raises(KeyRefused, match="never overwritten"):
        save_key(link, PrivateKey.generate())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o620, 0o644, 0o777])
def test_a_key_that_others_may_touch_is_refused(path, mode):
    save_key(path, PrivateKey.generate())
    path.chmod(mode)
    with pytest.raises(KeyRefused, match="others may read or write it") as refused:
        load_key(path)
    assert "chmod 600" in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_key_of_another_user_is_refused(path):
    save_key(path, PrivateKey.generate())
    status = path.stat()
    check_private(status, status.st_uid, path)
    with pytest.raises(KeyRefused, match="belongs to user"):
        check_private(status, status.st_uid + 1, path)


def test_a_link_a_folder_a_pipe_and_nothing_are_refused(path):
    save_key(path.with_name("real"), PrivateKey.generate())
    path.symlink_to("real")
    with pytest.raises(KeyRefused, match="symbolic link"):
        load_key(path)
    with pytest.raises(KeyRefused, match="plain file"):
        load_key(path.parent)
    os.mkfifo(path.with_name("pipe"), 0o600)
    with pytest.raises(KeyRefused, match="plain file"):
        load_key(path.with_name("pipe"))
    with pytest.raises(KeyRefused, match="not there") as refused:
        load_key(path.with_name("absent"))
    assert "concord keys new" in str(refused.value)


def _pem(key, encryption=None, form=PrivateFormat.PKCS8):
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


def _good():
    return _pem(PrivateKey.from_seed(bytes(range(32))).inner)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: _pem(rsa.generate_private_key(65537, 2048)), "kind RSA"),
        (lambda: _pem(ec.generate_private_key(ec.SECP256R1())), "kind .*E"),
        (lambda: _pem(x25519.X25519PrivateKey.generate()), "kind X25519"),
        (lambda: _pem(ed448.Ed448PrivateKey.generate()), "kind Ed448"),
        (
            lambda: _pem(
                PrivateKey.generate().inner,
                BestAvailableEncryption(b"secret"),
            ),
            "passphrase",
        ),
        (lambda: _pem(PrivateKey.generate().inner, form=PrivateFormat.OpenSSH), "damaged"),
        (lambda: _good()[:-40], "damaged"),
        (lambda: _good().replace(b"M", b"N", 1), "damaged"),
        (lambda: _good() + _good(), "damaged"),
        (lambda: b"# note\n" + _good(), "damaged"),
        (lambda: b"", "damaged"),
        (lambda: os.urandom(119), "damaged"),
        (lambda: bytes(5_000), "too many for a key"),
    ],
)
def test_other_files_are_no_keys(path, data, reason):
    path.touch(mode=0o600)
    path.write_bytes(data())
    with pytest.raises(KeyRefused, match=reason) as refused:
        load_key(path)
    assert refused.value.where == str(path)

"""`model.sig`: an OMS signature over the files of a release, for readers that know no log.

The bundle is made by OpenSSF's `model-signing`, with a key of its own (EC P-256), and checked here
without it: a DSSE envelope with a digest per file, which is compared with the manifest. Whoever has
the public key can check it with `model_signing verify key` as well.

Source: OpenSSF Model Signing v1.0; sigstore bundle v0.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from concord.base.canonical import parse_json
from concord.base.errors import ConcordError, DocumentError, KeyRefused, VerificationFailed
from concord.base.files import write_new
from concord.crypto.base64text import from_base64
from concord.crypto.dsse import pre_authentication_encoding
from concord.release.folder import MANIFEST, SIGNATURE, SUMS, ReleaseFolder

PREDICATE = "https://model_signing/signature/v1.0"
MAX_SIGNATURE_BYTES = 8 << 20


def new_release_key(path: Path) -> None:
    """Write a new private key that only its owner can read.

    Raises:
        StorageError: something is there already.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_new(path, pem, mode=0o600)


def public_pem(path: Path) -> str:
    """The public half of a release key.

    Raises:
        KeyRefused: the file is missing, or holds no EC P-256 key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise KeyRefused(
            "is no release key", where=path, remedy="concord release key makes one"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise KeyRefused("is no EC P-256 key", where=path, remedy="concord release key makes one")
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def sign_release(release: ReleaseFolder, key: Path) -> None:
    """Sign all files but those that change after publication.

    Raises:
        DocumentError: the library is not installed.
    """
    try:
        from model_signing import hashing, signing
    except ModuleNotFoundError as error:
        raise DocumentError(
            "signing needs model-signing, which is not installed",
            where=SIGNATURE,
            remedy="pip install 'concord[release]'",
        ) from error
    ignored = hashing.Config().set_ignored_paths(
        paths=[release.ledger, release.signature], ignore_git_paths=False
    )
    config = signing.Config().use_elliptic_key_signer(private_key=key)
    config.set_hashing_config(ignored).sign(release.root, release.signature)


def check_signature(release: ReleaseFolder, public: str, digests: Mapping[str, str]) -> None:
    """Whether the release key signed exactly these files.

    Args:
        public: The release key (PEM).
        digests: SHA-256 in hex of every file that must be signed, by path.

    Raises:
        VerificationFailed: it did not.
    """
    payload = _payload(release.signature, public)
    try:
        named = {str(one["name"]): str(one["digest"]) for one in payload["predicate"]["resources"]}
        algorithms = {str(one["algorithm"]) for one in payload["predicate"]["resources"]}
    except (KeyError, TypeError) as error:
        raise VerificationFailed("is no signature of a model", where=SIGNATURE) from error
    if payload.get("predicateType") != PREDICATE or algorithms - {"sha256"}:
        raise VerificationFailed("is of another kind", where=SIGNATURE)
    for path in sorted(named.keys() | digests.keys()):
        if named.get(path) != digests.get(path):
            raise VerificationFailed(f"does not cover {path} as it is", where=SIGNATURE)


def _payload(path: Path, public: str) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            bundle = parse_json(stream.read(MAX_SIGNATURE_BYTES), where=SIGNATURE)
        envelope = bundle["dsseEnvelope"]
        payload, kind = from_base64(envelope["payload"]), envelope["payloadType"]
        (signature,) = (from_base64(one["sig"]) for one in envelope["signatures"])
        key = load_pem_public_key(public.encode())
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise VerificationFailed("is of another kind of key", where=SIGNATURE)
        signed = pre_authentication_encoding(payload, kind)
        key.verify(signature, signed, ec.ECDSA(SHA256()))
        found = parse_json(payload, where=SIGNATURE)
    except OSError as error:
        raise VerificationFailed("is missing", where=SIGNATURE) from error
    except InvalidSignature as error:
        raise VerificationFailed("was not made by the release key", where=SIGNATURE) from error
    except (KeyError, TypeError, ValueError, AttributeError, UnsupportedAlgorithm) as error:
        raise VerificationFailed("is no signature bundle", where=SIGNATURE) from error
    except ConcordError as error:
        raise VerificationFailed(error.message, where=SIGNATURE) from error
    if not isinstance(found, dict):
        raise VerificationFailed("is no signature bundle", where=SIGNATURE)
    return found


def signed_digests(files: Mapping[str, str], manifest: str, sums: str) -> dict[str, str]:
    """What `model.sig` covers: the files of the manifest, itself, and the sums."""
    return {**files, MANIFEST: manifest, SUMS: sums}

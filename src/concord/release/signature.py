"""`model.sig`: an OMS signature over the files of a release, for readers that know no log.

    bundle:   {"mediaType", "verificationMaterial": {"publicKey", "tlogEntries"}, "dsseEnvelope"}
    payload:  an in-toto statement with the digest of each file, and one over all these digests

The key is one of its own (EC P-256), since that is what others' tools know. Whoever has its public
half can check the bundle with OpenSSF's `model_signing verify key` as well; our tests do.

Source: OpenSSF Model Signing v1.0; sigstore bundle v0.3.
"""

from __future__ import annotations

import hashlib
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

from concord.base.canonical import canonical_json, parse_json
from concord.base.errors import ConcordError, KeyRefused, VerificationFailed
from concord.base.files import write_atomic, write_new
from concord.crypto.base64text import from_base64, to_base64
from concord.crypto.dsse import pre_authentication_encoding
from concord.release.folder import LEDGER, MANIFEST, SIGNATURE, SUMS, ReleaseFolder
from concord.release.manifest import Manifest, read_manifest

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
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
    return _pem(_private(path).public_key())


def sign_release(release: ReleaseFolder, key: Path) -> None:
    """Sign the files of the manifest, itself, and the sums: not what changes after publication.

    Raises:
        KeyRefused: the file is no release key.
        VerificationFailed: the folder has no manifest.
    """
    private = _private(key)
    digests = signed_digests(read_manifest(release.manifest))
    payload = canonical_json(_statement(release.root.name, digests))
    signature = private.sign(pre_authentication_encoding(payload, PAYLOAD_TYPE), ec.ECDSA(SHA256()))
    hint = hashlib.sha256(_pem(private.public_key()).encode()).hexdigest()
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": to_base64(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": to_base64(signature), "keyid": ""}],
        },
    }
    write_atomic(release.signature, canonical_json(bundle))


def signed_digests(manifest: Manifest) -> dict[str, str]:
    """SHA-256 in hex of all that is signed, by path: files, the manifest itself, and the sums."""
    files = {path: entry.sha256 for path, entry in manifest.files.items()}
    apart = {MANIFEST: manifest.data, SUMS: manifest.sums()}
    return files | {path: hashlib.sha256(data).hexdigest() for path, data in apart.items()}


def check_signature(release: ReleaseFolder, public: str, manifest: Manifest) -> int:
    """Whether the release key signed exactly the files of the manifest; says how many.

    Args:
        public: The release key (PEM).

    Raises:
        VerificationFailed: it did not.
    """
    digests = signed_digests(manifest)
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
    return len(digests)


def _statement(name: str, digests: dict[str, str]) -> dict[str, Any]:
    """What is signed; files in the order of their names, as the standard has it."""
    files = sorted(digests.items())
    whole = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in files))
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": whole.hexdigest()}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [LEDGER, SIGNATURE],
            },
            "resources": [
                {"name": path, "algorithm": "sha256", "digest": digest} for path, digest in files
            ],
        },
    }


def _private(path: Path) -> ec.EllipticCurvePrivateKey:
    remedy = "concord release key makes one"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise KeyRefused("is no release key", where=path, remedy=remedy) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise KeyRefused("is no EC P-256 key", where=path, remedy=remedy)
    return key


def _pem(key: ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


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

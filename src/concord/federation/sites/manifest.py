"""A start-up kit's own word: for whom it is, for which federation, and what lies in it, signed.

    KIT/kit.json       this: every file of the kit by its digest, signed with the project's root key
    KIT/startup/       certificates, the member's TLS key, where the server is
    KIT/federation/    a copy of the federation's log and of the documents that it names

A kit proves that it is whole and of one root. That this root is the federation's is for people to
compare: the root's fingerprint and the federation's digest are shown when a kit is taken in.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import Field, ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import Digest, digest_file
from concord.base.errors import ConcordError, DocumentError, KitRefused
from concord.base.files import storage_errors, write_atomic
from concord.charter.document import Document, describe
from concord.federation.sites.certificates import (
    check_certificate,
    fingerprint,
    load_certificate,
    load_private_key,
)
from concord.federation.sites.protocol import PROTOCOL, check_protocol

FILE = "kit.json"
SIGNED_PARTS = ("startup", "federation")
MAX_BYTES = 16 << 20
_DOMAIN = b"concord start-up kit\n"
_ASK = "ask the secretariat for the kit again"


class KitManifest(Document):
    """What a kit says of itself."""

    protocol: int
    federation: str
    """Digest of the founding statement."""
    name: str
    """The federation's name."""
    member: str
    host: str
    port: Annotated[int, Field(ge=1, le=65_535)]
    root: str
    """Fingerprint of the project's root key."""
    made: int
    """Unix seconds."""
    files: dict[str, str]
    """Digest of each file of the signed parts, by its path."""


class _Signed(Document):
    manifest: dict[str, object]
    signature: str


def seal_kit(kit: Path, manifest: KitManifest, key: rsa.RSAPrivateKey) -> None:
    """Write a kit's manifest, signed with the project's root key.

    Args:
        manifest: `files` and `root` are filled in here.
        key: The root key; see `root_key`.

    Raises:
        KitRefused: the kit's root certificate cannot be read.
        StorageError: the kit cannot be written.
    """
    root = load_certificate(kit / "startup" / "rootCA.pem")
    body = manifest.model_copy(
        update={"files": dict(files_of(kit)), "root": fingerprint(root)}
    ).model_dump(mode="json")
    signature = key.sign(_DOMAIN + canonical_json(body), padding.PKCS1v15(), SHA256())
    signed = {"manifest": body, "signature": base64.b64encode(signature).decode()}
    write_atomic(kit / FILE, canonical_json(signed), mode=0o600)


def open_kit(kit: Path, *, now_s: int) -> KitManifest:
    """Check a member's kit and read its manifest.

    1. The manifest is of this version of the protocol.
    2. The root's certificate counts now, and its key signed the manifest.
    3. Every file is there and unaltered, and no other.
    4. The member's certificate is of this root and this member, counts now, and fits its key.
    5. The configuration names the server that the manifest names.

    Args:
        now_s: Unix seconds, by this machine's clock.

    Raises:
        KitRefused: one of these does not hold; the message says which.
        MessageRefused: the kit is of another version of the protocol.
    """
    manifest, root = _checked_manifest(kit, now_s)
    _check_files(kit, manifest)
    path = kit / "startup" / "client.crt"
    certificate = load_certificate(path)
    check_certificate(certificate, root, name=manifest.member, now_s=now_s, where=path)
    key = load_private_key(kit / "startup" / "client.key")
    if key.public_key() != certificate.public_key():
        raise KitRefused("does not fit the kit's key", where=path, remedy=_ASK)
    _check_target(kit, manifest)
    return manifest


def _checked_manifest(kit: Path, now_s: int) -> tuple[KitManifest, x509.Certificate]:
    path = kit / FILE
    if not path.is_file():
        raise KitRefused(
            "is no start-up kit of Concord: it has no kit.json",
            where=kit,
            remedy="give the folder that `concord federation provision` made for this member",
        )
    try:
        with storage_errors(path), path.open("rb") as stream:
            signed = _Signed.model_validate(parse_json(stream.read(MAX_BYTES), where=path))
        theirs = signed.manifest.get("protocol")
        if type(theirs) is int:
            check_protocol(theirs, who="the kit")
        manifest = KitManifest.model_validate(signed.manifest)
    except ValidationError as error:
        raise KitRefused(describe(error), where=path, remedy=_ASK) from error
    except DocumentError as error:
        raise KitRefused(error.message, where=path, remedy=_ASK) from error
    place = kit / "startup" / "rootCA.pem"
    root = load_certificate(place)
    check_certificate(root, root, name=manifest.name, now_s=now_s, where=place)
    if fingerprint(root) != manifest.root:
        raise KitRefused("is another root than the kit names", where=place, remedy=_ASK)
    _check_signature(signed, root, path)
    return manifest, root


def _check_signature(signed: _Signed, root: x509.Certificate, path: Path) -> None:
    key = root.public_key()
    try:
        if not isinstance(key, rsa.RSAPublicKey):
            raise InvalidSignature
        key.verify(
            base64.b64decode(signed.signature, validate=True),
            _DOMAIN + canonical_json(signed.manifest),
            padding.PKCS1v15(),
            SHA256(),
        )
    except (InvalidSignature, binascii.Error, ConcordError) as error:
        raise KitRefused(
            "was altered after it was signed, or was never signed", where=path, remedy=_ASK
        ) from error


def _check_files(kit: Path, manifest: KitManifest) -> None:
    found = dict(files_of(kit))
    for file in sorted({*found, *manifest.files}):
        if found.get(file) == manifest.files.get(file):
            continue
        fault = (
            "is missing"
            if file not in found
            else "does not belong into the kit"
            if file not in manifest.files
            else "was altered after it was signed"
        )
        raise KitRefused(fault, where=kit / file, remedy=_ASK)


def _check_target(kit: Path, manifest: KitManifest) -> None:
    path = kit / "startup" / "fed_client.json"
    value = parse_json(path.read_bytes(), where=path)
    servers = value.get("servers") if isinstance(value, dict) else None
    target = f"{manifest.host}:{manifest.port}"
    if not isinstance(servers, list) or len(servers) != 1 or not isinstance(servers[0], dict):
        raise KitRefused("does not name one server", where=path, remedy=_ASK)
    service, identity = servers[0].get("service"), servers[0].get("identity")
    if not isinstance(service, dict) or (service.get("target"), identity) != (
        target,
        manifest.host,
    ):
        raise KitRefused(f"does not name the server {target}", where=path, remedy=_ASK)


def files_of(kit: Path) -> Iterator[tuple[str, Digest]]:
    """Path and digest of every file of a kit's signed parts.

    Raises:
        KitRefused: a link, or something else than a file, lies among them.
    """
    for part in SIGNED_PARTS:
        for path in sorted((kit / part).rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise KitRefused("is not a plain file", where=path, remedy=_ASK)
            if path.is_file():
                with storage_errors(path):
                    yield path.relative_to(kit).as_posix(), digest_file(path)


def root_key(state: Path) -> rsa.RSAPrivateKey:
    """The project's root key.

    Args:
        state: `cert.json` of the project.

    Raises:
        KitRefused: it holds none.
    """
    with storage_errors(state):
        value = parse_json(state.read_bytes(), where=state)
    try:
        key = load_pem_private_key(value["root_pri_key"].encode(), password=None)
    except (KeyError, AttributeError, ValueError, TypeError) as error:
        raise KitRefused(
            "holds no root key of a project", where=state, remedy="restore it from a copy"
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KitRefused("holds a root key of another kind", where=state)
    return key


def new_manifest(
    *, federation: str, name: str, member: str, host: str, port: int, now_s: int
) -> KitManifest:
    """A manifest to be sealed."""
    return KitManifest(
        protocol=PROTOCOL,
        federation=federation,
        name=name,
        member=member,
        host=host,
        port=port,
        root="",
        made=now_s,
        files={},
    )

"""Certificates of a project, held against its root, the names they must bear, and the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from concord.base.digest import Digest, digest_bytes
from concord.base.errors import KitRefused
from concord.base.files import storage_errors

MAX_BYTES = 64 << 10
VALID_DAYS = 360
"""What FLARE's provisioner gives a leaf; see `provision`."""


@dataclass(frozen=True)
class Subject:
    """Whom a certificate is about."""

    name: str
    organisation: str


def load_certificate(path: Path) -> x509.Certificate:
    """Read a PEM certificate.

    Raises:
        KitRefused: it is missing or none.
    """
    try:
        return x509.load_pem_x509_certificate(_read(path))
    except ValueError as error:
        raise KitRefused("is no certificate", where=path, remedy="take the kit anew") from error


def load_private_key(path: Path) -> rsa.RSAPrivateKey:
    """Read a PEM private key.

    Raises:
        KitRefused: it is missing, or no RSA key.
    """
    try:
        key = load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError) as error:
        raise KitRefused("is no private key", where=path, remedy="take the kit anew") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KitRefused("is no RSA key", where=path, remedy="take the kit anew")
    return key


def subject(certificate: x509.Certificate) -> Subject:
    """Whom a certificate names; empty where it does not say."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    owners = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return Subject(str(names[0].value) if names else "", str(owners[0].value) if owners else "")


def fingerprint(certificate: x509.Certificate) -> Digest:
    """SHA-256 of the public key: the same after a renewal with the same key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return digest_bytes(public)


def check_certificate(
    certificate: x509.Certificate,
    root: x509.Certificate,
    *,
    name: str,
    now_s: int,
    where: object,
) -> None:
    """Refuse a certificate that is not of this root, not of this name, or not valid now.

    Args:
        name: Whom it has to name.
        now_s: Unix seconds, by this machine's clock.
        where: The file, for the message.

    Raises:
        KitRefused: with what is wrong, and what to do about it.
    """
    _check_signature(certificate, root, where)
    found = subject(certificate).name
    if found != name:
        raise KitRefused(
            f"is the certificate of {found[:80]!r}, not of {name!r}",
            where=where,
            remedy="ask the secretariat for the kit that is yours",
        )
    check_dates(certificate, now_s=now_s, where=where)


def check_dates(certificate: x509.Certificate, *, now_s: int, where: object) -> None:
    """Refuse a certificate that is not valid at this time.

    Raises:
        KitRefused: it has expired, or does not count yet.
    """
    now = datetime.fromtimestamp(now_s, UTC)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        raise KitRefused(
            f"is valid from {begin:%Y-%m-%d %H:%M:%S} UTC on, and this machine's clock says"
            f" {now:%Y-%m-%d %H:%M:%S} UTC",
            where=where,
            remedy="set the clock; if it is right, the secretariat's was wrong",
        )
    if now > end:
        raise KitRefused(
            f"expired on {end:%Y-%m-%d}; this machine's clock says {now:%Y-%m-%d %H:%M} UTC",
            where=where,
            remedy="ask the secretariat to renew it: concord federation provision --renew",
        )


def days_left(certificate: x509.Certificate, *, now_s: int) -> int:
    """Whole days until a certificate counts no more; negative once it does not."""
    return int((certificate.not_valid_after_utc.timestamp() - now_s) // 86_400)


def _check_signature(certificate: x509.Certificate, root: x509.Certificate, where: object) -> None:
    key = root.public_key()
    algorithm = certificate.signature_hash_algorithm
    if not isinstance(key, rsa.RSAPublicKey) or algorithm is None:
        raise KitRefused("is signed in a way that is not known here", where=where)
    try:
        key.verify(
            certificate.signature,
            certificate.tbs_certificate_bytes,
            padding.PKCS1v15(),
            algorithm,
        )
    except InvalidSignature as error:
        raise KitRefused(
            "was not issued by this federation's root",
            where=where,
            remedy="it is forged, or of another federation: ask the secretariat",
        ) from error


def _read(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise KitRefused("is missing", where=path, remedy="take the kit anew")
    with storage_errors(path), path.open("rb") as stream:
        return stream.read(MAX_BYTES)

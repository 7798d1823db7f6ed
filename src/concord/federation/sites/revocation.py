"""The project's list of revoked certificates, as X.509 has it: signed by the root, read by TLS.

    sites/server/startup/denied.pem      what the server refuses, from the next look on

FLARE has no such list. A certificate is revoked when a kit was lost or stolen, or a member was
expelled; `--renew` revokes the old one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from concord.base.errors import KitRefused
from concord.base.files import storage_errors, write_atomic

VALID_DAYS = 3650
"""As long as the root: a list that ran out would shut everybody out."""

SLACK = timedelta(days=1)
"""How far clocks may differ before a list does harm. Assumption."""


def write_denied(
    path: Path,
    root: x509.Certificate,
    key: rsa.RSAPrivateKey,
    *,
    now_s: int,
    also: tuple[int, ...] = (),
) -> int:
    """Write the list, or add to it; returns how many certificates it names.

    Args:
        path: The file.
        root: The root's certificate.
        key: Its key.
        now_s: Unix seconds.
        also: Serial numbers to add.

    Raises:
        KitRefused: what lies there is no list of this root.
        StorageError: it cannot be written.
    """
    now = datetime.fromtimestamp(now_s, UTC)
    before = read_denied(path, root)
    listed = {one.serial_number: one.revocation_date_utc for one in before or ()}
    for serial in also:
        listed.setdefault(serial, now)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.subject)
        .last_update(_dated(now, before))
        .next_update(now + timedelta(days=VALID_DAYS))
    )
    for serial, since in sorted(listed.items()):
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
        builder = builder.add_revoked_certificate(revoked.build())
    write_atomic(path, builder.sign(key, SHA256()).public_bytes(Encoding.PEM), mode=0o600)
    return len(listed)


def _dated(now: datetime, before: x509.CertificateRevocationList | None) -> datetime:
    """A day back, since a list dated ahead of the server's clock would shut everybody out.

    Of two lists TLS takes the later one, so each is dated later than the one before.
    """
    past = now - SLACK
    return past if before is None else max(past, before.last_update_utc + timedelta(seconds=1))


def read_denied(path: Path, root: x509.Certificate) -> x509.CertificateRevocationList | None:
    """The list, if there is one.

    Raises:
        KitRefused: it is no list of this root.
    """
    if not path.exists():
        return None
    with storage_errors(path):
        data = path.read_bytes()
    remedy = "restore it from a copy: without it revoked certificates would count again"
    try:
        found = x509.load_pem_x509_crl(data)
    except ValueError as error:
        raise KitRefused("is no list of certificates", where=path, remedy=remedy) from error
    public = root.public_key()
    if not isinstance(public, rsa.RSAPublicKey) or not found.is_signature_valid(public):
        raise KitRefused("was not signed by this federation's root", where=path, remedy=remedy)
    return found

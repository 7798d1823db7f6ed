"""A federation with kits, made once; certificates of every wrong kind; ways to change a kit."""

import datetime
import json
import time
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from concord.base.canonical import parse_json
from concord.federation.folders import FederationFolder
from concord.federation.sites.manifest import KitManifest, seal_kit
from concord.federation.sites.secretariat import Secretariat
from concord.ledger.archive import Archive
from concord.ledger.state.library import ObjectLibrary

PORT = 8399
MEMBERS = ["chad", "fiji", "peru"]
DAY = datetime.timedelta(days=1)
NOW = int(time.time()) + 20 * 3600
"""Certificates are dated by the machine's own clock, whenever a test makes them; the tests' clock
is after all of them, and less than a day ahead, as the list of revoked ones may be."""


def secretariat(root):
    federation = FederationFolder(root)
    return Secretariat(federation, Archive(federation.log, ObjectLibrary(federation.objects)))


def edit(path, change):
    """Change a JSON file in place."""
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value))


def reseal(kit, state, **changes):
    """Sign a changed kit again with the project's root key, as the secretariat could."""
    value = parse_json((kit / "kit.json").read_bytes())["manifest"]
    manifest = KitManifest.model_validate(value).model_copy(update=changes)
    seal_kit(kit, manifest, root_of(state)[1])


@cache
def root_of(state: Path):
    """The project's root certificate and key, read once: loading a key checks it at length."""
    value = json.loads(state.read_bytes())
    return (
        x509.load_pem_x509_certificate(value["root_cert"].encode()),
        load_pem_private_key(value["root_pri_key"].encode(), password=None),
    )


@cache
def new_key(number=0):
    """A key of this session's own, made once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(name, root, root_key, *, begin=None, end=None, key=None, organisation="x"):
    """A certificate as FLARE makes it, and its key, both as PEM."""
    key = new_key(1) if key is None else key
    now = datetime.datetime.now(datetime.UTC)
    names = [
        x509.NameAttribute(NameOID.COMMON_NAME, name),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY if begin is None else begin)
        .not_valid_after(now + 400 * DAY if end is None else end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM), key.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )


def put_certificate(kit, made):
    """Let a kit hold this certificate and key."""
    (kit / "startup" / "client.crt").write_bytes(made[0])
    (kit / "startup" / "client.key").write_bytes(made[1])

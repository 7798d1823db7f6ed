"""Why a site cannot reach its coordinator, found by trying it, in words for who can act on it.

FLARE's client tries for ever and says little. So its path is walked here, step by step: the name,
the port, both certificates.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

from cryptography import x509

from concord.base.errors import KitRefused, SiteUnreachable
from concord.federation.sites.certificates import check_dates, subject
from concord.federation.sites.manifest import KitManifest

PATIENCE_S = 5.0
_REFUSED_US = {
    "TLSV1_ALERT_UNKNOWN_CA": "was not issued by the server's project",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "has expired by the server's clock",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "was revoked",
    "SSLV3_ALERT_BAD_CERTIFICATE": "is not accepted by the server",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "did not reach the server",
    "TLSV1_ALERT_DECRYPT_ERROR": "is forged: the server cannot verify its signature",
}


def check_reachable(
    kit: Path, manifest: KitManifest, *, now_s: int, patience_s: float = PATIENCE_S
) -> None:
    """Walk the path from a member's kit to the coordinator's server, once.

    Raises:
        SiteUnreachable: with the step that failed, and who can do something about it.
    """
    place = f"{manifest.host}:{manifest.port}"
    stream = _connect(manifest, place, patience_s)
    with contextlib.closing(stream):
        server = _shake_hands(stream, kit, manifest, place)
    try:
        check_dates(server, now_s=now_s, where=place)
    except KitRefused as error:
        raise SiteUnreachable(
            f"its certificate {error.message}", where=place, remedy=error.remedy
        ) from error
    if subject(server).name != manifest.host:
        raise SiteUnreachable(
            f"another server answers there: {subject(server).name[:80]!r}",
            where=place,
            remedy="see that the host name leads to the coordinator",
        )


def check_port_free(listen: str, port: int) -> None:
    """Refuse to start a server on a port that another process holds.

    Raises:
        SiteUnreachable: the port is in use, or may not be used.
    """
    family = socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            stream.bind((listen, port))
        except OSError as error:
            raise SiteUnreachable(
                f"port {port} cannot be used: {error.strerror}",
                where=listen,
                remedy="end what listens there (`ss -ltnp`), or provision with another --port",
            ) from error


def _connect(manifest: KitManifest, place: str, patience_s: float) -> socket.socket:
    try:
        found = socket.getaddrinfo(  # FLARE dials by IPv4 alone
            manifest.host, manifest.port, socket.AF_INET, socket.SOCK_STREAM
        )
        return socket.create_connection((str(found[0][4][0]), manifest.port), timeout=patience_s)
    except socket.gaierror as error:
        raise SiteUnreachable(
            f"the host name {manifest.host!r} is not known here, or has no address of IPv4",
            where=place,
            remedy="ask the secretariat for the right name, or let your name server know it",
        ) from error
    except ConnectionRefusedError as error:
        raise SiteUnreachable(
            f"nobody listens on port {manifest.port}",
            where=place,
            remedy="the coordinator is down, or the port is another: ask who runs it",
        ) from error
    except TimeoutError as error:
        raise SiteUnreachable(
            f"no answer in {patience_s:.0f} seconds",
            where=place,
            remedy="a firewall between you and it may drop what goes out to that port",
        ) from error
    except OSError as error:
        raise SiteUnreachable(
            f"no way there: {error.strerror}", where=place, remedy="look at your own network"
        ) from error


def _shake_hands(
    stream: socket.socket, kit: Path, manifest: KitManifest, place: str
) -> x509.Certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(kit / "startup" / "rootCA.pem")
    context.load_cert_chain(kit / "startup" / "client.crt", kit / "startup" / "client.key")
    try:
        with context.wrap_socket(stream, server_hostname=manifest.host) as secured:
            found = secured.getpeercert(binary_form=True)
            _wait_for_refusal(secured)
    except ssl.SSLCertVerificationError as error:
        raise SiteUnreachable(
            f"the server's certificate is refused here: {error.verify_message}",
            where=place,
            remedy="the name leads to a machine of another federation, or the server needs a"
            " renewed kit: ask the secretariat",
        ) from error
    except ssl.SSLError as error:
        told = _REFUSED_US.get(error.reason or "", f"is refused ({error.reason})")
        raise SiteUnreachable(
            f"this member's certificate {told}",
            where=place,
            remedy="ask the secretariat for a new kit; look at the clocks of both sides",
        ) from error
    except OSError as error:
        raise SiteUnreachable(
            "the connection ended before it was secured",
            where=place,
            remedy="what listens there may not be the coordinator's server",
        ) from error
    if found is None:
        raise SiteUnreachable("the server showed no certificate", where=place)
    return x509.load_der_x509_certificate(found)


def _wait_for_refusal(secured: ssl.SSLSocket) -> None:
    """In TLS 1.3 the server looks at our certificate only after our handshake is done."""
    secured.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        if secured.recv(1) == b"":
            raise ConnectionResetError

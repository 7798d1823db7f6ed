"""FLARE's TLS, narrowed: who is trusted, under which name, how long a handshake may take.

FLARE 2.9 leaves four doors ajar, and this closes them where its sockets are made:

1. A member trusts every authority that its system trusts. Here: the project's root alone.
2. A member does not look at the server's name, so another member's certificate would do for the
   server. Here: the name must be the server's.
3. Certificates cannot be revoked. Here: the server reads the root's signed list of revoked ones,
   anew whenever it changes, and ends connections that it names.
4. The server shakes hands in the one thread that accepts connections, for as long as the other side
   likes: one silent connection keeps everybody out. Here: each in its own thread, for a time.

`Tls` is a component of every site's `resources.json`: FLARE makes it before any connection.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509

DENIED = "denied.pem"
"""Beside the root's certificate: the root's list of revoked certificates."""
HANDSHAKE_S = 10.0
LOOK_S = 2.0


class Tls:
    """Puts the narrowed sockets in the place of FLARE's, in this process."""

    def __init__(self) -> None:
        from nvflare.fuel.f3.drivers import net_utils, tcp_driver

        narrowed = narrow(net_utils.get_ssl_context)
        for module in (net_utils, tcp_driver):
            module.get_ssl_context = narrowed


Make = Callable[[dict[str, Any], bool], ssl.SSLContext | None]


def narrow(make: Make) -> Make:
    """What makes a socket's rules, narrowed.

    Args:
        make: FLARE's own: from the parameters of a connection, and whether it listens.
    """

    def narrowed(params: dict[str, Any], ssl_server: bool) -> ssl.SSLContext | None:
        if make(params, ssl_server) is None:  # within one machine, between a site's own processes
            return None
        startup = Path(params["ca_cert"]).parent
        if ssl_server:
            return server_context(startup)
        return member_context(startup, _expected_name(startup, params))

    return narrowed


def _expected_name(startup: Path, params: dict[str, Any]) -> str | None:
    """The server's name, if the connection goes to the server; None within the site."""
    admin, client = startup / "fed_admin.json", startup / "fed_client.json"
    if admin.exists():
        return str(json.loads(admin.read_bytes())["admin"]["server_identity"])
    if not client.exists():
        return None
    server = json.loads(client.read_bytes())["servers"][0]
    target = f"{params.get('host')}:{params.get('port')}"
    return str(server["identity"]) if server["service"]["target"] == target else None


def member_context(startup: Path, name: str | None) -> ssl.SSLContext:
    """How a member dials: the project's root alone is trusted, and one name.

    Args:
        startup: The kit's `startup` folder.
        name: Whom the certificate must name; None if only the root counts.
    """
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.name = name
    if name is not None:
        context.check_hostname = True
    _load(context, startup)
    return context


class _NamedContext(ssl.SSLContext):
    """Names the server that is dialled, which FLARE does not."""

    name: str | None = None

    def wrap_socket(self, sock: socket.socket, *args: Any, **more: Any) -> ssl.SSLSocket:
        more.setdefault("server_hostname", self.name)
        return super().wrap_socket(sock, *args, **more)


def server_context(startup: Path) -> ssl.SSLContext:
    """How the server listens: only certificates of this project that are not revoked.

    Args:
        startup: The kit's `startup` folder; the list of revoked certificates lies in it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.sslsocket_class = MemberSocket
    _load(context, startup)
    denied = startup / DENIED
    if denied.exists():
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
        context.load_verify_locations(denied)
        watch = threading.Thread(target=_watch, args=(context, denied), name="denied", daemon=True)
        watch.start()
    return context


def _load(context: ssl.SSLContext, startup: Path) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(startup / "rootCA.pem")
    role = "server" if (startup / "server.crt").exists() else "client"
    context.load_cert_chain(startup / f"{role}.crt", startup / f"{role}.key")


class MemberSocket(ssl.SSLSocket):
    """The server's end of a connection; shakes hands when first looked at, not when accepted."""

    live: ClassVar[weakref.WeakSet[MemberSocket]] = weakref.WeakSet()

    def accept(self) -> tuple[ssl.SSLSocket, Any]:
        """Take a connection without a word being exchanged on it."""
        stream, address = socket.socket.accept(self)
        stream.settimeout(HANDSHAKE_S)
        secured = self.context.wrap_socket(stream, server_side=True, do_handshake_on_connect=False)
        return secured, address

    def getpeercert(self, binary_form: bool = False) -> Any:
        """The other side's certificate, after the handshake; without one, the socket is closed.

        An error here would be written to a file that whoever knocks could fill.
        """
        if self.version() is None and not self._shake():
            return None
        return super().getpeercert(binary_form)

    def _shake(self) -> bool:
        try:
            self.do_handshake()
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                self.close()
            return False
        self.settimeout(None)
        MemberSocket.live.add(self)
        return True


def _watch(context: ssl.SSLContext, denied: Path) -> None:
    """Read the list anew when it changes, and end what it names."""
    seen = denied.stat().st_mtime_ns
    pause = threading.Event()
    while not pause.wait(LOOK_S):
        with contextlib.suppress(OSError, ValueError):
            stamp = denied.stat().st_mtime_ns
            if stamp != seen:
                context.load_verify_locations(denied)
                end_revoked(denied.read_bytes())
                seen = stamp


def end_revoked(denied: bytes) -> None:
    """End live connections whose certificates a list names.

    Args:
        denied: The list as PEM; the caller knows that the root signed it.
    """
    listed = x509.load_pem_x509_crl(denied)
    for stream in list(MemberSocket.live):
        with contextlib.suppress(OSError, ValueError):
            found = x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))
            if listed.get_revoked_certificate_by_serial_number(found.serial_number) is not None:
                stream.shutdown(socket.SHUT_RDWR)

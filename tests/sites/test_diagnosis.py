"""The way to the coordinator, walked: each step that can fail, told to who can act on it."""

import contextlib
import datetime
import socket
import ssl
import threading

import pytest
from sitelab import DAY, NOW, certificate, new_key, put_certificate, root_of

from concord.base.errors import SiteUnreachable
from concord.federation.sites.diagnosis import check_port_free, check_reachable
from concord.federation.sites.manifest import open_kit


@pytest.fixture
def server(atlas, tmp_path):
    """A TLS listener that asks for a certificate of this federation, as FLARE's does."""
    with contextlib.ExitStack() as ends:

        def start(kit=atlas / "sites" / "server", made=None):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.verify_mode = ssl.CERT_REQUIRED
            start = kit / "startup"
            context.load_verify_locations(start / "rootCA.pem")
            pair = start / "server.crt", start / "server.key"
            if made is not None:
                pair = tmp_path / "server.crt", tmp_path / "server.key"
                for path, data in zip(pair, made, strict=True):
                    path.write_bytes(data)
            context.load_cert_chain(*pair)
            listener = socket.create_server(("127.0.0.1", 0))
            ends.callback(listener.close)
            thread = threading.Thread(target=serve, args=(listener, context), daemon=True)
            thread.start()
            return listener.getsockname()[1]

        yield start


def serve(listener, context):
    with contextlib.suppress(OSError):
        while True:
            stream, _ = listener.accept()
            with contextlib.suppress(OSError), stream:
                stream.settimeout(5)
                with context.wrap_socket(stream, server_side=True) as secured:
                    secured.recv(1)


@pytest.fixture
def walk(kit):
    found = kit("fiji")
    manifest = open_kit(found, now_s=NOW)

    def go(now_s=NOW, made=None, patience_s=5.0, **changes):
        if made is not None:
            put_certificate(found, made)
        changed = manifest.model_copy(update=changes)
        check_reachable(found, changed, now_s=now_s, patience_s=patience_s)

    return go


def test_a_server_of_this_federation_lets_the_member_in(server, walk):
    walk(port=server())


def test_a_host_name_that_is_not_known(walk, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(SiteUnreachable, match=r"'nowhere\.example' is not known here"):
        walk(host="nowhere.example")


def test_a_name_that_has_addresses_of_ipv6_alone_is_told_since_flare_dials_none(
    server, walk, monkeypatch
):
    port = server()

    def six_alone(_, __, family=0, *___, **____):
        if family == socket.AF_INET:
            raise socket.gaierror(-9, "Address family for hostname not supported")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", six_alone)
    with pytest.raises(SiteUnreachable, match="no address of IPv4"):
        walk(port=port)


def test_a_port_on_which_nobody_listens(walk):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SiteUnreachable, match=f"nobody listens on port {port}"):
        walk(port=port)


def test_a_listener_that_never_answers_is_not_waited_for_long(walk):
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(SiteUnreachable, match="before it was secured"),
    ):
        walk(port=silent.getsockname()[1], patience_s=0.2)


def test_a_server_with_another_name(server, walk, state):
    port = server(made=certificate("elsewhere", *root_of(state)))
    with pytest.raises(SiteUnreachable, match="refused here"):
        walk(port=port)


def test_a_server_of_another_federation(server, walk, elsewhere):
    with pytest.raises(SiteUnreachable, match="refused here"):
        walk(port=server(elsewhere / "sites" / "server"))


def test_a_server_whose_certificate_expired(server, walk, state):
    now = datetime.datetime.now(datetime.UTC)
    made = certificate("localhost", *root_of(state), begin=now - 2 * DAY, end=now - DAY)
    with pytest.raises(SiteUnreachable, match="expired"):
        walk(port=server(made=made))


def test_a_forged_certificate_of_this_member_is_refused_by_the_server(server, walk, state):
    forged = certificate("fiji", root_of(state)[0], new_key())
    with pytest.raises(SiteUnreachable, match="this member's certificate"):
        walk(port=server(), made=forged)


def test_an_expired_certificate_of_this_member_is_refused_by_the_server(server, walk, state):
    now = datetime.datetime.now(datetime.UTC)
    made = certificate("fiji", *root_of(state), begin=now - 2 * DAY, end=now - DAY)
    with pytest.raises(SiteUnreachable, match="this member's certificate has expired"):
        walk(port=server(), made=made)


def test_a_port_in_use_is_told_before_a_server_starts():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SiteUnreachable, match=f"port {port} cannot be used"):
            check_port_free("127.0.0.1", port)
    check_port_free("127.0.0.1", port)

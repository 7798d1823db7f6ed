"""Who gets past the TLS of FLARE's own server, started as a coordinator starts it.

One server process serves all of these; each intruder is refused in the handshake, so that nothing
of it is executed, and nothing is written down.
"""

import contextlib
import datetime
import shutil
import socket
import ssl
import time

import pytest
from sitelab import DAY, NOW, certificate, new_key, put_certificate, root_of, secretariat

from concord.base.errors import SiteUnreachable
from concord.federation.sites.diagnosis import check_reachable
from concord.federation.sites.manifest import KitManifest, open_kit
from concord.federation.sites.processes import SiteProcess
from concord.federation.sites.provision import ProjectSpec, provision
from concord.testing.founded import found
from concord.testing.hand_clock import HandClock

pytestmark = pytest.mark.processes
START_S = 60.0


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A federation's folder whose server runs."""
    root = tmp_path_factory.mktemp("real") / "atlas"
    found(root, ["chad", "fiji", "peru"], clock=HandClock(NOW))
    port = free_port()
    secretariat(root).found("localhost", port, also_hosts=[], now_s=NOW)
    with SiteProcess(root / "sites" / "server") as process:
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s and process.alive():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield root
        assert process.alive()


@pytest.fixture
def state(running):
    return next(running.glob("sites/project/*/state/cert.json"))


@pytest.fixture
def server(running):
    return running / "sites" / "server"


@pytest.fixture
def knock(running, tmp_path):
    """Dial with a member's kit, changed or not; the way is walked as `member check` walks it."""

    def walk(member="fiji", made=None):
        kit = shutil.copytree(running / "sites" / "kits" / member, tmp_path / member)
        manifest = open_kit(kit, now_s=NOW)
        if made is not None:
            put_certificate(kit, made)
        check_reachable(kit, manifest, now_s=NOW)
        return manifest

    return walk


def written(server):
    """Everything that the server has written down."""
    return {
        path.name: path.read_bytes()
        for path in server.rglob("*")
        if path.is_file() and "startup" not in path.parts and "local" not in path.parts
    }


def test_a_member_of_the_federation_is_let_in(knock):
    assert isinstance(knock(), KitManifest)


def refusal(knock, member):
    """Why a member is not let in; empty if it is."""
    try:
        knock(member)
    except SiteUnreachable as error:
        return str(error)
    return ""


def days(begin, end):
    now = datetime.datetime.now(datetime.UTC)
    return {"begin": now + begin * DAY, "end": now + end * DAY}


@pytest.mark.parametrize(
    ("dates", "root_key", "words"),
    [
        (days(-2, -1), "the root's", "has expired"),
        (days(1, 2), "the root's", "this member's certificate"),
        (days(-1, 1), "a forger's", "this member's certificate"),
    ],
    ids=["expired", "not valid yet", "forged"],
)
def test_an_intruder_is_refused_in_the_handshake_and_leaves_no_trace(
    knock, server, state, dates, root_key, words
):
    root, key = root_of(state)
    before = written(server)
    made = certificate("fiji", root, key if root_key == "the root's" else new_key(), **dates)
    with pytest.raises(SiteUnreachable, match=words):
        knock(made=made)
    assert written(server) == before


def test_a_member_of_another_federation_with_the_same_names_is_refused(knock, server, tmp_path):
    spec = ProjectSpec("test", "localhost", 8399, {"fiji": "fiji"})
    other = provision(tmp_path / "other", spec).members["fiji"] / "startup"
    pair = (other / "client.crt").read_bytes(), (other / "client.key").read_bytes()
    before = written(server)
    with pytest.raises(SiteUnreachable, match="this member's certificate"):
        knock(made=pair)
    assert written(server) == before


def test_a_revoked_member_is_refused_at_once_and_a_renewed_one_let_in(running, knock, tmp_path):
    knock("peru")
    office = secretariat(running)
    office.revoke(["peru"], now_s=NOW)
    shutil.rmtree(tmp_path / "peru")
    deadline_s = time.monotonic() + 20
    while "was revoked" not in (words := refusal(knock, "peru")):
        assert time.monotonic() < deadline_s, words
        # Whoever knocks in the moment when the list is read is cut off without a word.
        assert words == "" or "ended before it was secured" in words
        shutil.rmtree(tmp_path / "peru")
        time.sleep(0.3)
    office.renew(["peru"], now_s=NOW)
    shutil.rmtree(tmp_path / "peru")
    knock("peru")
    knock("fiji")


def test_who_connects_and_says_nothing_keeps_nobody_out(running, knock):
    manifest = open_kit(running / "sites" / "kits" / "fiji", now_s=NOW)
    with contextlib.ExitStack() as silent:
        for _ in range(5):
            silent.enter_context(socket.create_connection(("127.0.0.1", manifest.port)))
        began_s = time.monotonic()
        knock()
        assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 600])
def test_noise_is_no_reason_to_write_anything_down(running, server, knock, said):
    manifest = open_kit(running / "sites" / "kits" / "fiji", now_s=NOW)
    before = written(server)
    with socket.create_connection(("127.0.0.1", manifest.port)) as stream:
        stream.sendall(said)
        stream.settimeout(15)
        with contextlib.suppress(OSError):  # it was hung up on before, or is now
            stream.shutdown(socket.SHUT_WR)
            stream.recv(4096)
    knock()
    assert written(server) == before


def test_who_shows_no_certificate_is_refused(running):
    kit = running / "sites" / "kits" / "fiji"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(kit / "startup" / "rootCA.pem")
    port = open_kit(kit, now_s=NOW).port
    with (
        socket.create_connection(("127.0.0.1", port)) as stream,
        pytest.raises(OSError, match=r"certificate required|EOF|reset"),
        context.wrap_socket(stream, server_hostname="localhost") as secured,
    ):
        secured.settimeout(10)
        if secured.recv(1) == b"":
            raise ConnectionResetError("reset")

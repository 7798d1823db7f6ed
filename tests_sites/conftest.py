"""A real federation between sites on this machine: server and two members, over mutual TLS."""

import contextlib
import io
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "sites"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cli"))

from sitelab import NOW, secretariat

from concord.federation.sites.home import SITE, take_kit
from concord.federation.sites.processes import SiteProcess
from concord.testing.founded import found
from concord.testing.hand_clock import HandClock

MEMBERS = ["chad", "fiji", "peru"]
PATIENCE_S = 120.0


class Sites:
    """The federation's folder, its homes and their processes."""

    def __init__(self, root):
        self.atlas = root / "atlas"
        found(self.atlas, MEMBERS, clock=HandClock(NOW))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self.office = secretariat(self.atlas)
        self.office.found("localhost", self.port, also_hosts=[], now_s=NOW)
        self.processes = {"server": SiteProcess(self.office.server)}
        self._session = None
        for member in MEMBERS:
            home = root / member
            own = self.atlas / "members" / member
            take_kit(self.atlas / "sites" / "kits" / member, home, now_s=NOW, own=own)
            self.processes[member] = SiteProcess(home / "members" / member / SITE)

    def kit(self, member):
        return self.processes[member].kit

    def ask(self, question):
        """Ask the server through FLARE's own session, which prints."""
        from nvflare.fuel.flare_api.flare_api import new_secure_session

        with contextlib.redirect_stdout(io.StringIO()):
            if self._session is None:
                driver = self.office.driver
                self._session = new_secure_session(driver.name, str(driver), timeout=10)
            return question(self._session)

    def forget_session(self):
        if self._session is not None:
            with contextlib.suppress(Exception):
                self._session.close()
        self._session = None

    def registered(self):
        try:
            info = self.ask(lambda session: session.get_system_info())
        except Exception:  # FLARE raises types of its own while the server starts
            self.forget_session()
            return {}
        return {one.name: one.last_connect_time for one in info.client_info}

    def wait_for(self, *members, timeout_s=PATIENCE_S):
        """Seconds until all of them are registered."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < timeout_s:
            if set(members) <= set(self.registered()):
                return time.monotonic() - began_s
            time.sleep(0.5)
        raise AssertionError(f"registered: {sorted(self.registered())}")

    def stop(self):
        self.forget_session()
        for process in self.processes.values():
            process.stop()


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    made = Sites(tmp_path_factory.mktemp("sites"))
    try:
        made.processes["server"].start()
        made.processes["chad"].start()
        made.processes["fiji"].start()
        made.wait_for("chad", "fiji")
        yield made
    finally:
        made.stop()


@pytest.fixture
def copied(sites, tmp_path):
    """A member's site in a folder of its own, to be changed."""

    def copy(member):
        sockets = shutil.ignore_patterns("nursery")
        return Path(shutil.copytree(sites.kit(member), tmp_path / member, ignore=sockets))

    return copy

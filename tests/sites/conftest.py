"""A federation and its kits, made once; a test that changes one takes a copy."""

import shutil

import pytest
from sitelab import MEMBERS, NOW, PORT, secretariat

from concord.cli.main import main
from concord.federation.sites.home import SITE, take_kit
from concord.federation.sites.site_files import write_site_files
from concord.testing.founded import found
from concord.testing.hand_clock import HandClock


@pytest.fixture(scope="session")
def _made(tmp_path_factory):
    root = tmp_path_factory.mktemp("sites") / "atlas"
    found(root, MEMBERS, clock=HandClock(NOW))
    secretariat(root).found("localhost", PORT, also_hosts=["127.0.0.1"], now_s=NOW)
    return root


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """Another federation with kits, whose member has the same name; not to be changed."""
    root = tmp_path_factory.mktemp("elsewhere") / "atlas"
    found(root, ["fiji"], clock=HandClock(NOW))
    secretariat(root).found("coordinator.example.org", 8002, also_hosts=["localhost"], now_s=NOW)
    return root


@pytest.fixture(scope="session")
def renewed(_made, tmp_path_factory):
    """The federation after fiji got another kit; not to be changed."""
    root = shutil.copytree(_made, tmp_path_factory.mktemp("renewed") / "atlas")
    secretariat(root).renew(["fiji"], now_s=NOW)
    return root


@pytest.fixture
def atlas(_made):
    """A federation's folder whose kits were made; not to be changed."""
    return _made


@pytest.fixture
def state(atlas):
    """The file with the project's root key."""
    return next(atlas.glob("sites/project/*/state/cert.json"))


@pytest.fixture
def own_atlas(atlas, tmp_path):
    """A copy of it, to be changed."""
    shutil.copytree(atlas, tmp_path / "atlas")
    return tmp_path / "atlas"


@pytest.fixture
def handed(atlas, tmp_path):
    """A kit as it is handed over, to be changed."""

    def copy(member="fiji", name="kit"):
        return shutil.copytree(atlas / "sites" / "kits" / member, tmp_path / name)

    return copy


@pytest.fixture(scope="session")
def _home(_made, tmp_path_factory):
    """Fiji's home, made once: its site files name no place but the member's folder."""
    home = tmp_path_factory.mktemp("homes") / "home"
    own = _made / "members" / "fiji"
    take_kit(_made / "sites" / "kits" / "fiji", home, now_s=NOW, own=own)
    return home


@pytest.fixture
def kit(atlas, tmp_path, _home):
    """A kit with its site files, to be changed: fiji's in its home, or the server's."""

    def take(name="fiji"):
        if name == "server":
            target = shutil.copytree(atlas / "sites" / "server", tmp_path / "server")
            write_site_files(target, "server", name="localhost", folder=atlas)
            return target
        shutil.copytree(_home, tmp_path / "home")
        return tmp_path / "home" / "members" / "fiji" / SITE

    return take


@pytest.fixture
def told(capsys):
    """Call the command line; it must end as said, and never with a traceback."""

    def call(*words, status=0, now=NOW):
        capsys.readouterr()
        ended = 0
        try:
            main([str(word) for word in words], clock=HandClock(now))
        except SystemExit as done:
            ended = done.code or 0
        captured = capsys.readouterr()
        assert ended == status, captured.err
        assert "Traceback" not in captured.err
        return captured

    return call

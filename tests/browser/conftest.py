"""One browser for all tests, and one observatory whose files tests may copy and alter."""

import shutil

import pytest
from browserlab import Visit, browsing
from pagelab import rich_history

from concord.observatory.pages.bundle import build
from concord.observatory.pages.language import languages
from concord.observatory.pages.source import read_source


@pytest.fixture(scope="session")
def browser():
    with browsing() as found:
        yield found


@pytest.fixture(scope="session")
def history(tmp_path_factory):
    return rich_history(tmp_path_factory.mktemp("federation"))


@pytest.fixture(scope="session")
def site(history, tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "observatory"
    build(read_source(history.root, made=history.now), languages(), out)
    return out


@pytest.fixture
def altered(site, tmp_path):
    """A copy of the pages, to be tampered with."""
    return shutil.copytree(site, tmp_path / "observatory")


@pytest.fixture
def visit(browser):
    with Visit(browser, viewport={"width": 1200, "height": 900}) as found:
        yield found

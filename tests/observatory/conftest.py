"""One observatory, made once from a federation with hostile words, in every language."""

import pytest
from pagelab import Parsed, rich_history

from concord.observatory.pages.bundle import build
from concord.observatory.pages.language import languages
from concord.observatory.pages.source import read_source


@pytest.fixture(scope="session")
def history(tmp_path_factory):
    return rich_history(tmp_path_factory.mktemp("federation"))


@pytest.fixture(scope="session")
def source(history):
    return read_source(history.root, made=history.now)


@pytest.fixture(scope="session")
def site(source, tmp_path_factory):
    """The folder of pages."""
    out = tmp_path_factory.mktemp("site") / "observatory"
    build(source, languages(), out)
    return out


@pytest.fixture(scope="session")
def parsed(site):
    """Every page by its path, read once."""
    return {
        path.relative_to(site).as_posix(): Parsed(path.read_text("utf-8"))
        for path in sorted(site.rglob("*.html"))
    }

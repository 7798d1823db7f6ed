"""A real browser for the pages, and the pages of a federation that has everything.

Debian: `apt-get install chromium`. Another browser of that kind: CHROMIUM=<path> make test-pages.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

sys.path.append(str(Path(__file__).parents[1] / "observatory"))
SHOTS = Path(os.environ.get("SCREENSHOTS", "build/screenshots"))
QUIET = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def chromium() -> str:
    """Path of the browser; a test run without one ends with what to do."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.exit(
            "make test-pages needs Chromium: apt-get install chromium, or CHROMIUM=<path>", 2
        )
    return found


@contextmanager
def browsing():
    """A browser that asks nothing of any network."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """One window on the pages: what it complained about, and what it asked for."""

    def __init__(self, browser, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints = []
        self.asked = []
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def open(self, path: Path, place: str = ""):
        self.page.goto(path.as_uri() + place)
        return self.page

    def shot(self, name: str) -> None:
        """A picture for whoever looks; whole, but no longer than a screen can take."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

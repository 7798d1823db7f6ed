"""Every page in a real browser: both directions, wide and narrow, with and without JavaScript."""

import re
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from browserlab import Visit

PAGES = (
    *("index", "citizen", "members", "member-chad", "member-peru", "auditor", "regulator"),
    *("training", "decisions", "check"),
)
WIDTHS = {"wide": 1200, "phone": 390, "narrow": 320}
LEAST_TARGET_PX = 24
"""WCAG 2.2, 2.5.8."""
MAX_FIRST_PAINT_MS = 1_000


@pytest.mark.parametrize("folder", ["", "ar/", "hi/"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_its_window_and_complains_of_nothing(browser, site, folder, width):
    size = {"width": WIDTHS[width], "height": 800}
    with Visit(browser, viewport=size) as visit:
        for name in PAGES:
            page = visit.open(site / f"{folder}{name}.html")
            overflow = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert overflow <= 0, (folder, name, width, overflow)
            direction = page.evaluate("getComputedStyle(document.body).direction")
            assert direction == ("rtl" if folder == "ar/" else "ltr")
            if width != "narrow":
                visit.shot(f"{folder.strip('/') or 'en'}-{name}-{width}")
        assert visit.complaints == []
        assert all(url.startswith(site.as_uri()) for url in visit.asked)


@pytest.mark.parametrize("folder", ["", "ar/"])
def test_every_page_is_read_without_javascript(browser, site, folder):
    with Visit(browser, java_script_enabled=False) as visit:
        for name in PAGES:
            visit.open(site / f"{folder}{name}.html")
            page = visit.page
            assert page.locator("main h1").is_visible()
            assert page.locator("main section, main .cards").first.is_visible()
            if name == "check":
                assert page.locator("noscript .notice").is_visible()
                visit.shot(f"{folder.strip('/') or 'en'}-check-without-script")
        assert visit.complaints == []


@pytest.mark.parametrize("folder", ["", "ar/"])
def test_what_one_presses_is_large_enough(browser, site, folder):
    with Visit(browser, viewport={"width": 390, "height": 800}) as visit:
        page = visit.open(site / f"{folder}check.html")
        for one in page.locator("nav a, button, input, summary").all():
            box = one.bounding_box()
            assert box is None or min(box["width"], box["height"]) >= LEAST_TARGET_PX


def test_the_first_tab_leads_past_the_navigation_and_shows_where_one_is(visit, site):
    page = visit.open(site / "index.html")
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.get_attribute("href") == "#content"
    assert focused.bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_on_paper_the_navigation_is_gone_and_the_words_are_there(visit, site):
    page = visit.open(site / "citizen.html")
    page.emulate_media(media="print")
    assert not page.locator("nav.pages").is_visible()
    assert page.locator("main h1").is_visible()
    visit.shot("en-citizen-print")


def test_in_the_dark_the_pages_are_dark(browser, site):
    with Visit(browser, color_scheme="dark", viewport={"width": 1200, "height": 900}) as visit:
        page = visit.open(site / "index.html")
        red = re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert int(red[0]) < 60
        visit.shot("en-index-dark")


def test_hostile_words_run_nothing_and_add_nothing(visit, site):
    fired = []
    visit.page.on("dialog", lambda dialog: (fired.append(dialog.message), dialog.dismiss()))
    for name in PAGES:
        page = visit.open(site / f"{name}.html")
        assert page.locator("img, main script, iframe").count() == 0
    assert fired == []


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(site):
    """The folder on a port of this machine, as any file host would serve it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_first_page_is_there_within_a_second_on_a_slow_phone(browser, served):
    """1.6 Mbit/s, 150 ms to and fro, a processor a quarter as fast: the usual throttled phone."""
    painted = []
    for _ in range(3):
        with Visit(browser, viewport={"width": 390, "height": 800}) as visit:
            session = visit.context.new_cdp_session(visit.page)
            session.send("Network.enable")
            session.send(
                "Network.emulateNetworkConditions",
                {
                    "offline": False,
                    "latency": 150,
                    "downloadThroughput": 1_600_000 / 8,
                    "uploadThroughput": 750_000 / 8,
                },
            )
            session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
            visit.page.goto(f"{served}/index.html")
            visit.page.wait_for_function(
                "performance.getEntriesByName('first-contentful-paint').length > 0"
            )
            painted.append(
                visit.page.evaluate(
                    "performance.getEntriesByName('first-contentful-paint')[0].startTime"
                )
            )
    sys.stdout.write(f"first contentful paint, ms: {[round(ms) for ms in painted]}\n")
    assert min(painted) <= MAX_FIRST_PAINT_MS

"""Names, comments, records and reasons with markup, scripts, direction marks and too many words:
inert on every page, in every file of data, and cut where one can see it."""

import json
import re

import pytest
from pagelab import LONG, SCRIPT, UNSEEN

from concord.observatory.pages.language import FIRST, isolated, languages, shortened
from concord.observatory.pages.render import to_json

ALLOWED = {
    *("html", "head", "meta", "title", "link", "script", "body", "a", "div", "header", "p", "span"),
    *("nav", "ul", "ol", "li", "main", "h1", "h2", "h3", "h4", "footer", "dl", "dt", "dd", "bdi"),
    *("section", "svg", "desc", "path", "g", "circle", "text", "rect", "line", "figure", "code"),
    *("figcaption", "table", "caption", "thead", "tbody", "tr", "th", "td", "blockquote", "pre"),
    *("details", "summary", "article", "br", "b", "form", "label", "input", "button", "noscript"),
    *("template", "small"),
}


def test_no_page_has_an_element_that_only_a_hostile_word_could_bring(parsed):
    for path, page in parsed.items():
        assert {node.tag for node in page.nodes} <= ALLOWED, path
        assert "alert(1)" not in "".join(node.text for node in page.all("script")), path


def test_hostile_words_are_shown_as_words(parsed):
    said = {
        "citizen.html": SCRIPT,
        "member-chad.html": SCRIPT,
        "decisions.html": f"Open {SCRIPT}",
        "regulator.html": SCRIPT,
        "member-peru.html": f"policy: {SCRIPT}"[:300],
    }
    for path, words in said.items():
        assert words in parsed[path].one("html").text, path


def test_a_template_within_a_word_is_not_rendered(parsed):
    for path, page in parsed.items():
        assert "49" not in re.findall(r"&?(\d+)$", SCRIPT)
        assert "'&49" not in page.one("html").text, path


def test_no_control_and_no_direction_mark_is_in_any_file(site):
    for path in site.rglob("*.*"):
        if path.is_file():
            text = path.read_bytes().decode("utf-8")
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text), path


def test_data_is_plain_ascii(site):
    for path in [*site.glob("*.json"), *site.rglob("data/**/*.js")]:
        path.read_bytes().decode("ascii")


def test_data_in_a_script_cannot_end_the_script(site):
    for path in site.rglob("data/**/*.js"):
        assert b"<" not in path.read_bytes(), path


def test_a_name_from_the_log_stands_alone_in_its_direction(parsed):
    for path, page in parsed.items():
        if path.endswith("index.html"):
            assert [node for node in page.all("bdi") if node.text == "بيرو"], path


@pytest.mark.parametrize("text", [UNSEEN, "\u2066", "a\u0000b", "\ud800"])
def test_unseen_characters_become_visible(text):
    shown = str(isolated(text))
    assert not re.search(r"[\x00-\x1f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    assert "U+" in shown


def test_what_is_too_long_is_cut_and_says_by_how_much(parsed):
    assert shortened(LONG).endswith(f"… [+{len(LONG) - 400:,}]")
    for path, page in parsed.items():
        if path.endswith("decisions.html"):
            text = page.one("html").text
            assert "overlong " * 60 not in text
            assert "… [+" in text


def test_values_in_messages_are_isolated_and_escaped():
    said = languages()[FIRST].say("decision.not_counted", choice="yes", member=SCRIPT)
    assert "<script" not in said
    assert said.count("<bdi>") == 2


def test_json_holds_what_was_said_with_escapes_in_place_of_marks():
    data = to_json({"words": UNSEEN})
    assert data.isascii()
    assert json.loads(data) == {"words": UNSEEN}

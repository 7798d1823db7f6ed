"""Contrast of every pair of colours that the style sheet puts together, computed as WCAG 2.2 says:
4.5 for words (1.4.3), 3 for marks and edges (1.4.11); by day, in the dark, and on paper."""

import re

import pytest

WORDS, MARKS = 4.5, 3.0
TEXT = [
    *((ink, back) for ink in ("ink", "quiet", "link") for back in ("page", "raised")),
    *((tone, f"{tone}-back") for tone in ("ok", "warn", "bad", "none")),
    *(("ink", f"{tone}-back") for tone in ("ok", "warn", "bad", "none")),
    *(("link", f"{tone}-back") for tone in ("ok", "warn", "none")),
    *((tone, "page") for tone in ("ok", "warn", "bad", "none", "shared", "alone")),
    *(("ink", f"heat-{step}") for step in range(7)),
    ("bar-ink", "bar"),
    ("bar-quiet", "bar"),
    ("page", "shared"),  # numbers within the marks of the map
]
EDGES = [
    *((mark, "page") for mark in ("shared", "pooled", "alone", "sovereign", "focus", "quiet")),
    *((mark, "raised") for mark in ("shared", "alone", "pooled", "quiet", "focus")),
    *((tone, "page") for tone in ("ok", "bad", "none")),
]


def blocks(css):
    """Rules of a style sheet with the text within their braces, outermost only."""
    begin, depth, head = 0, 0, ""
    for place, character in enumerate(css):
        if character == "{":
            if depth == 0:
                head, begin = css[begin:place].strip(), place + 1
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                yield head, css[begin:place]
                begin = place + 1


def colours(css, media):
    """Variables of the style sheet, as they are under a condition; "" is by day on a screen."""
    found = {}
    for head, body in blocks(re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)):
        inner = [(head, body)] if not head.startswith("@media") else []
        if head == f"@media {media}":
            inner = list(blocks(body))
        for selector, text in inner:
            if selector == ":root":
                found |= re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{3,6})", text)
    return found


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standards_examples():
    assert contrast("#fff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("media", ["", "(prefers-color-scheme: dark)", "print"])
def test_words_and_marks_stand_out(site, media):
    found = colours((site / "style.css").read_text(), media)
    assert len(found) > 30
    faint = [
        (pair, round(contrast(found[pair[0]], found[pair[1]]), 2), least)
        for pairs, least in ((TEXT, WORDS), (EDGES, MARKS))
        for pair in pairs
        if contrast(found[pair[0]], found[pair[1]]) < least
    ]
    assert faint == []


def test_the_button_is_readable_by_day_and_in_the_dark(site):
    css = (site / "style.css").read_text()
    for back in re.findall(r"form\.check button[^{]*\{[^}]*background: (#[0-9a-f]{6})", css):
        assert contrast("#ffffff", back) >= WORDS


def test_the_style_sheet_fetches_nothing(site):
    css = (site / "style.css").read_text()
    assert not re.search(r"url\(|@import|@font-face|https?:", css)

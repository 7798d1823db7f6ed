"""report.html: one file that fetches nothing, runs nothing, and shows hostile text as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from report_sample import bare_report, sample_evidence, sample_report, small_report

from concord.federation.report import build_report, load_report, write_report
from concord.observatory.page import render_html, write_html

VOID = {"meta", "br", "link", "img", "input", "hr"}
HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202egnp\u2066\x1b[2J"


class Page(HTMLParser):
    """Reads a page as a browser's parser would, and keeps what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def html() -> str:
    return render_html(sample_report())


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


@pytest.mark.parametrize("report", [sample_report(), small_report(), bare_report()])
def test_every_tag_closes_and_ids_are_unique_and_links_lead_somewhere(report):
    page = Page(render_html(report))
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in page.all("a"):
        assert attributes["href"].removeprefix("#") in ids
    for _, attributes in page.tags:
        for reference in (attributes.get("aria-labelledby") or "").split():
            assert reference in ids


def test_nothing_is_fetched_and_nothing_runs(html, page):
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in {"src", "srcset", "xlink:href", "action"}
            assert "javascript:" not in (value or "")
    assert not re.search(r"url\(|@import|@font-face|https?://", html)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def hostile_report():
    """Every field that takes words, filled with markup, direction marks and escapes."""
    evidence = sample_evidence()
    card = evidence.card.model_copy(
        update={
            "name": HOSTILE,
            "toml": HOSTILE,
            "started": HOSTILE,
            "phases": {HOSTILE: 1.0},
            "versions": {HOSTILE: HOSTILE},
            "machine": {HOSTILE: HOSTILE},
        }
    )
    first = evidence.rounds[0].model_copy(update={"left_out": {"kenya": HOSTILE}})
    counts = next(iter(evidence.tokenizer.parallel.values()))
    tokenizer = evidence.tokenizer.model_copy(
        update={"parallel": {HOSTILE: counts, HOSTILE + "2": counts}}
    )
    return build_report(
        evidence.model_copy(
            update={
                "card": card,
                "members": tuple(
                    member.model_copy(update={"label": HOSTILE, "owner": HOSTILE})
                    for member in evidence.members
                ),
                "rounds": (first,),
                "tokenizer": tokenizer,
                "notes": (HOSTILE,),
            }
        )
    )


def test_hostile_words_appear_as_words():
    html = render_html(hostile_report())
    page = Page(html)
    assert {tag for tag, _ in page.tags} & {"script", "img"} == set()
    assert page.open == []
    assert not set(html) & {"\u202e", "\u2066", "\x1b"}
    shown = "".join(page.text)
    assert shown.count("</title><script>alert(1)</script>") > 15
    assert "<U+202E>gnp<U+2066><U+001B>[2J" in shown


@pytest.mark.parametrize("make", [sample_report, small_report, hostile_report])
def test_a_report_read_from_disk_gives_the_same_page(tmp_path, make):
    path = tmp_path / "report.json"
    write_report(make(), path)
    assert render_html(load_report(path)) == render_html(make())


def test_sections_stand_in_the_order_people_ask(page):
    order = [attributes["id"] for attributes in page.all("section")]
    assert order == [
        "happened",
        "gained",
        "matrix",
        "curves",
        "facts",
        "bytes",
        "tokenizer",
        "run",
        "limits",
    ]


def test_parts_that_were_not_measured_are_not_shown():
    small = Page(render_html(small_report()))
    sections = {attributes["id"] for attributes in small.all("section")}
    assert sections == {"happened", "gained", "bytes", "run", "limits"}
    assert "pooled" not in small.words
    bare = Page(render_html(bare_report()))
    assert {a["id"] for a in bare.all("section")} == {"happened", "run", "limits"}
    assert "no round was committed" in bare.words


def test_builds_at_home_that_were_measured_on_every_text_get_rows_of_their_own():
    evidence = sample_evidence()
    home = {**evidence.matrix["shared"], **evidence.matrix["sovereign/kenya"]}
    matrix = {**evidence.matrix, "sovereign/kenya": home}
    html = render_html(build_report(evidence.model_copy(update={"matrix": matrix})))
    assert "<bdi>sovereign/kenya</bdi>" in html
    assert "<bdi>sovereign/greece</bdi>" not in html


def test_headline_figures_and_the_worst_member_come_first(page):
    words = page.words
    for shown in ("1.021 ×", "4.225 → 1.919", "5 of 6", "nigeria", "0.532"):
        assert words.index(shown) < words.index("Every model on every text", 300)
    assert "not truth, safety or usefulness" in words
    assert "All members ran on one machine" in words


def test_every_number_of_the_matrix_is_text_in_a_table(html):
    report = sample_report()
    table = html[html.index('<table class="heat') : html.index('id="curves"')]
    cells = re.findall(r'<td class="heat-\d( home)?">([\d.]+)</td>', table)
    expected = [
        f"{sums.bits_per_byte:.2f}"
        for model, row in report.evidence.matrix.items()
        for sums in row.values()
    ]
    assert sorted(number for _, number in cells) == sorted(expected)
    assert sum(bool(home) for home, _ in cells) == 2 * len(report.evidence.members)


def test_every_drawing_has_a_name_and_words_or_is_skipped_by_readers(html):
    drawings = re.findall(r"<svg ([^>]*)>(.{0,60})", html)
    inner = ('class="mark', "viewBox")
    for attributes, after in drawings:
        if attributes.startswith(inner):
            continue
        hidden = 'aria-hidden="true"' in attributes
        named = 'role="img"' in attributes and after.startswith("<title")
        assert hidden or named, attributes
    assert html.count("<title id=") == html.count("<desc id=") == 7


def test_tables_name_their_rows_and_columns(page):
    headers = page.all("th")
    assert len(headers) > 60
    assert all(header.get("scope") in {"row", "col"} for header in headers)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_marks_can_be_told_from_what_they_stand_on(html, scheme):
    block = re.findall(r":root \{(.*?)\}", html, flags=re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for text in ("ink", "quiet"):
        for ground in ("page", "raised"):
            assert contrast(colours[text], colours[ground]) >= 4.5
    for step in range(7):
        assert contrast(colours["ink"], colours[f"heat-{step}"]) >= 4.5
    for mark in ("shared", "pooled", "alone", "sovereign"):
        assert contrast(colours[mark], colours["page"]) >= 3


def test_the_same_report_gives_the_same_page_and_a_whole_file(tmp_path, html):
    path = tmp_path / "report.html"
    write_html(sample_report(), path)
    assert path.read_text(encoding="utf-8") == html
    assert len(html.encode()) < 200_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]

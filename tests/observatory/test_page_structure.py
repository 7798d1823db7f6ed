"""Every page in every language, as WCAG 2.2 AA asks what can be asked of text: landmarks, headings,
names, languages, links that lead somewhere; and nothing from elsewhere, nothing inline."""

import json
import re
from itertools import pairwise

from pagelab import Parsed

from concord.observatory.pages.language import languages

PAGES = ("index", "citizen", "members", "auditor", "regulator", "training", "decisions", "check")
MAX_FIRST_PAGE_BYTES = 100_000


def test_every_page_is_there_in_every_language_and_its_data_beside_it(site, parsed):
    names = {*PAGES, "member-chad", "member-fiji", "member-peru"}
    folders = {"" if code == "en" else f"{code}/" for code in languages()}
    assert parsed.keys() == {f"{folder}{name}.html" for folder in folders for name in names}
    for name in names:
        json.loads((site / f"{name}.json").read_bytes())


def test_landmarks_one_first_heading_and_no_level_is_skipped(parsed):
    for path, page in parsed.items():
        assert len(page.all("main")) == len(page.all("h1")) == 1, path
        assert {"header", "nav", "main", "footer"} <= {node.tag for node in page.nodes}, path
        levels = [int(node.tag[1]) for node in page.all("h1", "h2", "h3", "h4")]
        assert levels[0] == 1, path
        for before, after in pairwise(levels):
            assert after <= before + 1, (path, before, after)


def test_language_and_direction_are_those_of_the_words(parsed):
    for path, page in parsed.items():
        code = path.split("/")[0] if "/" in path else "en"
        html = page.one("html").attributes
        assert html["lang"] == code
        assert html["dir"] == ("rtl" if code == "ar" else "ltr")


def test_titles_differ_from_page_to_page(parsed):
    titles = [(path.rpartition("/")[0], page.all("title")[0].text) for path, page in parsed.items()]
    assert len(set(titles)) == len(titles)


def test_ids_are_unique_and_all_references_are_answered(parsed):
    for path, page in parsed.items():
        assert len(set(page.ids)) == len(page.ids), path
        for node in page.nodes:
            for name in ("aria-labelledby", "aria-describedby", "for"):
                for reference in node.attributes.get(name, "").split():
                    assert reference in page.ids, (path, name, reference)


def test_links_lead_to_files_and_places_that_are_there(site, parsed):
    for path, page in parsed.items():
        folder = (site / path).parent
        for node in page.all("a", "link", "script"):
            target = node.attributes.get("href", node.attributes.get("src"))
            assert not re.match(r"[a-z]+:|//", target), (path, target)
            file, _, place = target.partition("#")
            found = (folder / file).resolve() if file else site / path
            assert found.is_file(), (path, target)
            if place and found.name != "check.html":
                assert place in Parsed(found.read_text("utf-8")).ids, (path, target)


def test_everything_that_can_be_used_has_a_name(parsed):
    for path, page in parsed.items():
        labelled = {node.attributes["for"] for node in page.all("label")}
        for node in page.nodes:
            name = node.attributes.get("aria-label") or node.attributes.get("aria-labelledby")
            if node.tag in {"a", "button", "summary", "caption"} or node.tag in {"h1", "h2", "h3"}:
                assert node.text.strip(), (path, node)
            if node.tag == "input":
                assert node.attributes["id"] in labelled, path
            if node.tag == "nav" or ("tabindex" in node.attributes and node.tag == "div"):
                assert name, (path, node)
            if node.tag == "svg" and not any(one.tag == "svg" for one in node.inside):
                hidden = any("aria-hidden" in one.attributes for one in [node, *node.inside])
                assert hidden or name, (path, node)


def test_tables_have_a_caption_and_headers_with_a_scope(parsed):
    for path, page in parsed.items():
        for table in page.all("table"):
            inside = [node for node in page.nodes if table in node.inside]
            assert any(node.tag == "caption" for node in inside), path
            headers = [node for node in inside if node.tag == "th"]
            assert headers, path
            assert all(node.attributes.get("scope") in {"col", "row"} for node in headers), path


def test_the_page_that_one_is_on_is_marked_once(parsed):
    for path, page in parsed.items():
        marked = [node for node in page.all("a") if node.attributes.get("aria-current") == "page"]
        assert len(marked) == 1, path


def test_nothing_is_inline_and_only_the_check_page_runs_anything(parsed):
    for path, page in parsed.items():
        for node in page.nodes:
            assert not {name for name in node.attributes if name.startswith("on")}, path
            assert "style" not in node.attributes, (path, node)
            assert node.tag not in {"style", "iframe", "object", "embed", "base", "img"}, path
        scripts = page.all("script")
        assert bool(scripts) == path.endswith("check.html"), path
        assert all(not node.text and node.attributes["src"] for node in scripts), path


def test_a_strict_policy_comes_before_anything_that_it_governs(parsed):
    for path, page in parsed.items():
        heads = [node for node in page.nodes if node.tag in {"meta", "link", "script"}]
        place = next(i for i, n in enumerate(heads) if "http-equiv" in n.attributes)
        assert all(node.tag == "meta" for node in heads[:place]), path
        policy = heads[place].attributes["content"]
        assert policy.startswith("default-src 'none';"), path
        assert "unsafe" not in policy, path
        assert "http" not in policy.replace("http-equiv", ""), path


def test_the_first_page_and_all_it_loads_is_small(site):
    for name in ("index", "citizen"):
        size = sum((site / part).stat().st_size for part in (f"{name}.html", "style.css"))
        assert size <= MAX_FIRST_PAGE_BYTES, name

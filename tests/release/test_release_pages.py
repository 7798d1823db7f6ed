"""A release as it is really built, on the public pages."""

from releaselab import (
    GATES,
    all_evidence,
    build,
    decide,
    history_with_a_run,
    made_of,
    publish,
    write_again,
)

from concord.observatory.pages.bundle import build as build_pages
from concord.observatory.pages.language import chosen
from concord.observatory.pages.regulator import regulator
from concord.observatory.pages.source import read_source
from concord.release.papers.render import render, write_papers
from concord.release.papers.sections import sections_of


def test_papers_of_a_published_release_stand_on_the_regulators_page_and_nothing_else(tmp_path):
    history, run = history_with_a_run(tmp_path / "atlas", extra=GATES)
    all_evidence(history, run)
    decide(history, run)
    write_again(history)
    papers = render(sections_of(made_of(history, run)))
    release, manifest = build(history, run, exporters=[lambda path: write_papers(path, papers)])
    publish(history, release, manifest)
    source = read_source(history.root, made=history.now)
    (shown,) = regulator(source).papers
    assert shown.fault == ""
    assert {one.name for one in shown.found} == manifest.files.keys()
    assert {one.name for one in shown.found if one.is_paper} == papers.keys()
    build_pages(source, chosen(["en"]), tmp_path / "out")
    assert "papers/law-matrix.json" in (tmp_path / "out" / "regulator.html").read_text()
    told = (tmp_path / "out" / "data" / "releases.js").read_text()
    assert manifest.files["model.safetensors"].sha256 in told

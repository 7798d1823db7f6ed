"""Measured numbers: a page says what its JSON file says, and the summary says the same."""

from __future__ import annotations

import json
import sys

import pytest
from doclab import ROOT, read_page

sys.path.insert(0, str(ROOT / "benchmarks"))

import ablation_page
import quality_page

FOLDER = ROOT / "docs" / "benchmarks"
PAGES = sorted(path.stem for path in FOLDER.glob("quality*.json"))


def measured(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PAGES)
def test_the_quality_page_is_drawn_from_its_rows(name: str) -> None:
    assert read_page(f"docs/benchmarks/{name}.md").text == quality_page.render(measured(name))


def test_the_ablation_page_is_drawn_from_its_rows() -> None:
    text = read_page("docs/benchmarks/ablation.md").text
    assert ablation_page.page(measured("ablation"), text) == text


def test_the_tokenizer_page_gives_the_figures_of_its_file() -> None:
    text = read_page("docs/benchmarks/tokenizer.md").text
    for name in ("ordinary", "parity"):
        arm = measured("tokenizer")["arms"][name]
        assert f"{arm['premium_max_min']:.3f}" in text
        assert f"{arm['total_tokens']:,}" in text


@pytest.mark.parametrize("name", PAGES)
def test_the_summary_gives_the_ratio_of_every_seed(name: str) -> None:
    summary = read_page("docs/benchmarks/README.md").text
    for row in measured(name):
        assert f"{quality_page.ratio(row):.3f}" in summary

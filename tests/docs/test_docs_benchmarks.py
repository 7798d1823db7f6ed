"""Measured numbers: a page says what its JSON file says, and the summary says the same."""

from __future__ import annotations

import json
import sys
from typing import get_args

import pytest
from doclab import ROOT, read_page, table_rows

from concord.charter.run import RunDocument, parse_run
from concord.charter.run_sections import PLAIN_RULES, MergeRule
from concord.federation.harm import HARM, harm_note
from concord.federation.planning.needs import COSTS, UNMOVED_NS

sys.path.insert(0, str(ROOT / "benchmarks"))

import ablation_page
import hostile_page
import quality_page
import sealed_run_page

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


def test_plans_reckon_with_the_costs_that_the_page_gives() -> None:
    page = read_page("docs/benchmarks/aggregation.md")
    told = {}
    for codec, *numbers in table_rows(page.section("What one core needs, by codec")):
        screen_ns, merge_ns, close_ns, held = (float(number) for number in numbers)
        told[codec] = (screen_ns, merge_ns, round(close_ns), held)
    used = {c: (k.screen_ns, k.merge_ns, k.close_ns, k.tensors_held) for c, k in COSTS.items()}
    assert used == told
    assert f"takes {UNMOVED_NS} ns all the same" in page.text


@pytest.mark.parametrize("name", PAGES)
def test_the_summary_gives_the_ratio_of_every_seed(name: str) -> None:
    summary = read_page("docs/benchmarks/README.md").text
    for row in measured(name):
        assert f"{quality_page.ratio(row):.3f}" in summary


def test_the_page_of_sealed_runs_is_drawn_from_its_rows() -> None:
    text = read_page("docs/benchmarks/sealed-run.md").text
    reading = "".join(text.partition("\n## Reading\n")[1:])
    assert sealed_run_page.page(measured("sealed-run"), reading) == text


def test_the_hostile_page_is_drawn_from_its_rows() -> None:
    found = measured("hostile")
    assert read_page("docs/benchmarks/hostile.md").text == hostile_page.page(found)


def test_what_a_robust_rule_costs_is_told_as_it_was_measured() -> None:
    rows = measured("hostile")["rows"]
    clean = rows["mean, clipped (1.5) / none"]
    told = read_page("docs/hostile.md").text
    assert {rule: harm_note(_run(rule)) is None for rule in PLAIN_RULES} == dict.fromkeys(
        PLAIN_RULES, True
    )
    assert set(HARM) == set(get_args(MergeRule)) - set(PLAIN_RULES)
    for rule, harm in HARM.items():
        row = rows[f"{rule}, clipped (1.5) / none"]
        found = tuple(100 * (row[key] / clean[key] - 1) for key in ("mean", "worst"))
        assert found == pytest.approx(harm, abs=0.051)
        assert f"| `{rule}` | +{harm[0]:g} % | +{harm[1]:g} % |" in told
        assert f"{harm[1]:g} %" in (harm_note(_run(rule)) or "")


def _run(rule: str) -> RunDocument:
    roster = [{"id": member} for member in ("chad", "fiji", "peru")]
    return parse_run({"name": "x", "roster": roster, "update": {"merge": rule}})

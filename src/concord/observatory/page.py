"""`report.html`: the report as one file that needs no network and no script.

What is shown is decided in the views, drawn by `charts`, laid out by the templates. Every string is
made inert and escaped on its way into the page, whatever part of the report it comes from.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from concord.base.files import write_atomic
from concord.federation.report import RunReport
from concord.observatory import cost_views, curve_views, gain_views, rows, words
from concord.observatory.headlines import headlines, lead, title


def render_html(report: RunReport) -> str:
    """The whole page. Nothing in it is fetched, and nothing in it runs."""
    context = {
        "report": report,
        "evidence": report.evidence,
        "figures": report.figures,
        "title": title(report),
        "lead": lead(report),
        "headlines": headlines(report),
        "world": gain_views.world_view(report),
        "members": gain_views.member_view(report),
        "matrix": gain_views.matrix_view(report),
        "curves": curve_views.curve_view(report),
        "facts": gain_views.fact_view(report),
        "traffic": cost_views.traffic_view(report),
        "tokenizer": cost_views.tokenizer_view(report),
        "rounds": cost_views.round_view(report),
        "texts": [member for member in report.evidence.members if member.text is not None],
        "arms": rows.model_order(report.evidence.arms),
    }
    return _environment().get_template("report.html").render(context)


def stylesheet() -> str:
    """The style of the report, which the observatory's pages share."""
    return resources.files("concord.observatory").joinpath("templates/style.css").read_text("utf-8")


def write_html(report: RunReport, path: Path) -> None:
    """Write `report.html`, whole or not at all.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    write_atomic(path, render_html(report).encode())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("concord.observatory", "templates"),
        autoescape=True,
        finalize=_inert,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in (
        words.bits,
        words.byte_size,
        words.change,
        words.duration,
        words.quantity,
        words.ratio,
        words.share,
        words.small,
        rows.spans,
    ):
        environment.filters[write.__name__] = write
    environment.filters["json"] = _pretty
    return environment


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def _inert(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, Markup):
        return words.inert(value, keep="\n\t")
    return value

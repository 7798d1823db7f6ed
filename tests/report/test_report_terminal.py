"""The report on a terminal: fits 80 columns, names everyone, and runs no text as an escape."""

from __future__ import annotations

import io

import pytest
from report_sample import bare_report, sample_evidence, sample_report, small_report
from rich.cells import cell_len
from rich.console import Console

from concord.federation.report import (
    Arm,
    Evidence,
    ReportMember,
    ReportRound,
    Sums,
    alone,
    build_report,
)
from concord.observatory.rows import left_out_summary, model_order, spans
from concord.observatory.terminal import print_report


def printed(report, *, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_report(console, report)
    return console.file.getvalue()


def report_of(members: list[str]):
    """Many members with long names and every model on every text."""
    card = sample_evidence().card
    row = {member: Sums(nats=1e5, bytes=50_000, tokens=9_000) for member in members}
    return build_report(
        Evidence(
            card=card,
            members=tuple(ReportMember(id=member) for member in members),
            matrix={"shared": row, "pooled": row, **{alone(member): row for member in members}},
            rounds=(ReportRound(round=1, participants=tuple(members), seconds=1),),
        )
    )


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("report", [sample_report(), small_report(), bare_report()])
def test_no_line_is_wider_than_the_terminal(report, width):
    assert max(map(cell_len, printed(report, width=width).splitlines())) <= width


def test_twelve_members_with_long_names_fit_80_columns_matrix_included():
    members = [f"member-with-a-name-of-{place:02}" for place in range(12)]
    text = printed(report_of(members))
    assert max(map(len, text.splitlines())) <= 80
    assert "Each model (row)" in text
    row = next(line for line in text.splitlines() if line.startswith("pooled"))
    assert row.split() == ["pooled", *["2.89"] * 12]


def test_a_matrix_that_does_not_fit_is_left_to_the_page():
    text = printed(report_of([f"m{place:02}" for place in range(40)]))
    assert "Each model (row)" not in text
    assert "m39" in text


def test_every_member_and_the_worst_one_are_named():
    text = printed(sample_report())
    for member in sample_evidence().members:
        assert text.count(member.id) >= 3
    assert "nigeria  the worst member" in text
    assert "1.021 ×" in text
    assert "kenya left out of four rounds: no update before the round closed" in text
    assert "Limit: All members ran on one machine" in text


def test_unequal_tokens_are_said_where_the_comparison_is_made():
    evidence = sample_evidence()
    arms = {**evidence.arms, "pooled": Arm(tokens=8 * evidence.arms["pooled"].tokens)}
    text = printed(build_report(evidence.model_copy(update={"arms": arms})))
    assert "did NOT see equally many" in " ".join(text.split())
    assert "NOT EQUAL" in text


def test_without_a_comparison_nothing_is_claimed_of_it():
    text = printed(small_report())
    assert "pooled" not in text
    assert "Who gained what" not in text
    assert "Nothing was trained to compare with" in " ".join(text.split())


def test_escape_sequences_markup_and_direction_marks_arrive_as_text():
    evidence = sample_evidence()
    hostile = "\x1b[2J\x1b]0;owned\x07 [bold red]x[/] \u202egnp.exe\u2069"
    rounds = (
        ReportRound(round=1, participants=("kenya",), left_out={"greece": hostile}, seconds=1),
    )
    hostile_card = evidence.card.model_copy(update={"name": hostile})
    changes = {"rounds": rounds, "notes": (hostile,), "card": hostile_card}
    text = printed(build_report(evidence.model_copy(update=changes)))
    assert not {"\x1b", "\x07", "\u202e", "\u2069"} & set(text)
    assert "<U+001B>[2J" in text
    assert "[bold red]x[/]" in text.replace("\n", " ")


def test_models_stand_in_the_order_people_ask_for_them():
    models = ["sovereign/a", "alone/b", "pooled-adamw", "alone/a", "pooled", "shared"]
    assert model_order(models) == [
        "shared",
        "pooled",
        "pooled-adamw",
        "alone/a",
        "alone/b",
        "sovereign/a",
    ]


def test_rounds_are_told_as_ranges_and_the_most_absent_first():
    assert spans([9, 1, 2, 3, 7, 8]) == "1 to 3, 7 to 9"
    groups = left_out_summary(sample_evidence().rounds)
    assert [(group.member, group.rounds) for group in groups] == [
        ("kenya", (37, 74, 111, 148)),
        ("greece", (61,)),
    ]


def test_a_loss_that_rose_is_the_first_thing_said():
    evidence = sample_evidence()
    steady = printed(build_report(evidence))
    assert "above its lowest" not in steady
    rounds = tuple(
        part.model_copy(update={"mean_loss": dict.fromkeys(part.participants, 6.5)})
        if part.round > 120
        else part
        for part in evidence.rounds
    )
    risen = printed(build_report(evidence.model_copy(update={"rounds": rounds})))
    assert risen.index("training loss above its lowest") < risen.index("shared against pooled")
    assert "+4.4" in risen

"""Charts and words: laws that hold for all numbers."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.observatory import charts, words
from concord.observatory.charts import Axis, Mark, Series

finite = st.floats(min_value=-1e9, max_value=1e9)


@given(finite, st.floats(min_value=1e-6, max_value=1e9), st.integers(2, 8))
def test_ticks_are_round_numbers_within_the_scale(low, span, count):
    axis = Axis(low, low + span)
    ticks = axis.ticks(count)
    assert len(ticks) <= 2 * count + 2
    slack = 1e-6 * (axis.high - axis.low) + 1e-9 * abs(low)
    assert all(axis.low - slack <= tick <= axis.high + slack for tick in ticks)
    assert ticks == sorted(set(ticks))


@given(st.lists(finite, max_size=30), finite, st.floats(min_value=1e-3, max_value=10))
def test_a_scale_holds_all_its_values_and_is_never_finer_than_asked(values, reference, least):
    axis = charts.axis_around(values, include=reference, least=least)
    assert axis.high - axis.low >= least * 0.999 - 1e-6
    for value in [*values, reference]:
        assert 0 <= axis.at(value) <= 100
        assert axis.low <= value <= axis.high


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 10)), max_size=20))
def test_a_line_stays_within_its_drawing(points):
    drawing = charts.line_chart(
        [Series("shared", points)],
        x=Axis(0, 500),
        y=Axis(0, 10),
        key="k",
        title="t",
        description="",
    )
    path = re.search(r' d="([^"]*)"', drawing)[1]
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    assert len(numbers) == 2 * len(points)
    assert all(0 <= number <= 100 for number in numbers)
    assert not re.search(r"nan|inf", drawing)


def test_one_point_and_equal_values_draw_without_a_fault():
    axis = Axis(2.0, 2.0)
    assert axis.at(2.0) == 50
    assert axis.ticks() == [2.0]
    assert "reference" in charts.strip([Mark("alone", 2.0)], axis=axis, reference=2.0)
    assert "0%" in charts.bar("shared", 0.0, most=1.0)
    assert charts.presence([], rounds=0)


def test_the_heat_map_grows_darker_with_distance_and_never_lighter():
    steps = [charts.heat_step(1 + place / 100, 1.0) for place in range(300)]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0, 6)


def test_titles_of_drawings_are_escaped():
    drawing = charts.line_chart(
        [], x=Axis(0, 1), y=Axis(0, 1), key="k", title="<b>&\u202e", description="</desc><script>"
    )
    assert "&lt;b&gt;&amp;&lt;U+202E&gt;" in drawing
    assert "<script>" not in drawing


@given(st.text())
def test_inert_text_has_no_acting_character_left_and_is_stable(text):
    once = words.inert(text)
    assert words.inert(once) == once
    assert not any(ord(character) < 32 for character in once)
    assert not set(once) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def test_scripts_that_need_joiners_keep_them():
    for text in ("می\u200cخواهم", "ශ්\u200dරී", "தமிழ்", "አማርኛ"):
        assert words.inert(text) == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.00 kB"), (999_500, "1.00 MB"), (113_250_000, "113 MB")],
)
def test_bytes_are_written_to_three_digits(value, shown):
    assert words.byte_size(value).replace(words.THIN, " ") == shown


@given(st.floats(min_value=0, max_value=1e20))
def test_a_quantity_reads_back_to_three_digits(value):
    written = words.quantity(value).split(words.THIN)
    prefix = written[1] if len(written) > 1 else ""
    scale = 1000 ** ("", "k", "M", "G", "T", "P", "E").index(prefix)
    assert math.isclose(float(written[0]) * scale, value, rel_tol=6e-3, abs_tol=6e-3)


@pytest.mark.parametrize(
    ("value", "shown", "compared"),
    [
        (1.021, "+2.1 %", "2.1 % more bits per byte than"),
        (0.95, "−5.0 %", "5.0 % fewer bits per byte than"),
        (1.0001, "±0.0 %", "as many bits per byte as"),
        (0.9999, "±0.0 %", "as many bits per byte as"),
    ],
)
def test_a_ratio_is_told_as_a_change(value, shown, compared):
    assert words.change(value).replace(words.THIN, " ") == shown
    assert words.more_bits(value).replace(words.THIN, " ") == compared


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min 00 s"),
        (60, "1 min 00 s"),
        (3_599, "59 min 59 s"),
        (7_265, "2 h 01 min"),
    ],
)
def test_times_are_told_as_people_say_them(seconds, shown):
    assert words.duration(seconds).replace(words.THIN, " ") == shown

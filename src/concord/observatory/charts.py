"""Small SVG charts, made when the page is made: pure functions from numbers to markup.

Positions are percentages and text keeps its size, so one drawing serves a phone, a desk and paper.
Colours come from the page's style sheet by class (`shared`, `pooled`, `alone`, `sovereign`), which
gives light and dark; marks differ in shape as well, so nothing hangs on colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from concord.observatory.words import inert

HEAT_BOUNDS = (1.01, 1.05, 1.15, 1.4, 1.8, 2.5)
"""Ratios to the best model of a column at which a heat map's cell grows darker."""


@dataclass(frozen=True)
class Axis:
    """A linear scale from numbers to per cent of a drawing's width or height."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Position in per cent, held within the drawing."""
        if self.high <= self.low:
            return 50.0
        return min(100.0, max(0.0, 100 * (value - self.low) / (self.high - self.low)))

    def ticks(self, count: int = 4) -> list[float]:
        """About `count` round numbers within the scale: 1, 2 or 5 times a power of ten."""
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        rough = span / count
        power = 10 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [step * number for number in range(first, last + 1)]


@dataclass(frozen=True)
class Series:
    """One line: its class in the style sheet, and points of (x, y)."""

    style: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Mark:
    """One mark of a strip: its class in the style sheet, and where it stands."""

    style: str
    value: float


def axis_around(values: Sequence[float], *, include: float | None = None, least: float) -> Axis:
    """A scale that holds all values with some air, and spans at least `least`.

    A least span keeps differences that mean nothing from looking large.
    """
    held = [*values, *([] if include is None else [include])]
    low, high = (min(held), max(held)) if held else (0.0, 1.0)
    missing = max(0.0, least - (high - low)) / 2
    air = 0.06 * max(high - low, least)
    return Axis(low - missing - air, high + missing + air)


def line_chart(
    series: Sequence[Series], *, x: Axis, y: Axis, key: str, title: str, description: str
) -> Markup:
    """Lines over rounds, with a grid and round numbers at its edges."""
    parts = [_opening("plot", key, title, description)]
    for value in y.ticks():
        at = f"{100 - y.at(value):.2f}%"
        parts.append(_svg('<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>', at))
        parts.append(_svg('<text class="tick y" x="-8" y="{}">{}</text>', at, _label(value, y)))
    for value in x.ticks():
        at = f"{x.at(value):.2f}%"
        parts.append(_svg('<text class="tick x" x="{}" y="100%">{}</text>', at, _label(value, x)))
    parts.append(Markup('<svg viewBox="0 0 100 100" preserveAspectRatio="none">'))
    for line in series:
        path = " ".join(
            f"{'L' if place else 'M'}{x.at(across):.2f} {100 - y.at(up):.2f}"
            for place, (across, up) in enumerate(line.points)
        )
        parts.append(_svg('<path class="line {}" d="{}"/>', line.style, path))
    return Markup("").join([*parts, Markup("</svg></svg>")])


def strip(marks: Sequence[Mark], *, axis: Axis, reference: float | None = None) -> Markup:
    """One row of a dot chart. The numbers stand beside it, so readers by ear skip it."""
    parts = [Markup('<svg class="strip" aria-hidden="true">')]
    if reference is not None:
        parts.append(
            _svg('<line class="reference" x1="{0}%" x2="{0}%" y2="100%"/>', axis.at(reference))
        )
    if len(marks) > 1:
        places = [axis.at(mark.value) for mark in marks]
        parts.append(
            _svg(
                '<line class="span" x1="{}%" x2="{}%" y1="50%" y2="50%"/>', min(places), max(places)
            )
        )
    parts += [_mark(mark.style, axis.at(mark.value)) for mark in marks]
    return Markup("").join([*parts, Markup("</svg>")])


def scale(axis: Axis, labels: Sequence[tuple[float, str]]) -> Markup:
    """The head of a column of strips: where a few values stand."""
    parts = [Markup('<svg class="scale" aria-hidden="true">')]
    for value, label in labels:
        at = axis.at(value)
        anchor = "start" if at < 12 else "end" if at > 88 else "middle"
        parts.append(
            _svg('<text x="{}%" y="70%" text-anchor="{}">{}</text>', at, anchor, inert(label))
        )
    return Markup("").join([*parts, Markup("</svg>")])


def bar(style: str, value: float, *, most: float, reference: float | None = None) -> Markup:
    """One bar from zero, on a track that ends at `most`, with a line across at `reference`."""
    axis = Axis(0.0, most)
    parts = [
        Markup('<svg class="bar" aria-hidden="true">'),
        Markup('<rect class="track" width="100%" height="100%"/>'),
        _svg('<rect class="{}" width="{}%" height="100%"/>', style, axis.at(value)),
    ]
    if reference is not None:
        at = axis.at(reference)
        parts.append(_svg('<line class="reference" x1="{0}%" x2="{0}%" y2="100%"/>', at))
    return Markup("").join([*parts, Markup("</svg>")])


def presence(absent: Sequence[int], *, rounds: int) -> Markup:
    """A member's rounds from first to last, with a gap for each one it missed."""
    parts = [Markup('<svg class="presence" aria-hidden="true">')]
    parts.append(Markup('<rect class="track shared" width="100%" height="100%"/>'))
    width = 100 / rounds if rounds else 0.0
    parts += [
        _svg(
            '<rect class="gap" x="{}%" width="{}%" height="100%"/>',
            (number - 1) * width,
            max(width, 0.6),
        )
        for number in absent
    ]
    return Markup("").join([*parts, Markup("</svg>")])


def heat_step(value: float, best: float) -> int:
    """How dark a cell of the heat map is: 0 for the best of its column, up to 6."""
    if best <= 0:
        return 0
    return sum(value / best > bound for bound in HEAT_BOUNDS)


def _opening(style: str, key: str, title: str, description: str) -> Markup:
    return _svg(
        '<svg class="{0}" role="img" aria-labelledby="{1}-title {1}-description">'
        '<title id="{1}-title">{2}</title><desc id="{1}-description">{3}</desc>',
        style,
        key,
        inert(title),
        inert(description),
    )


def _mark(style: str, at: float) -> Markup:
    shapes = {
        "alone": '<circle r="5"/>',
        "shared": '<circle r="5.5"/>',
        "sovereign": '<path d="M0-7 7 0 0 7-7 0z"/>',
        "pooled": '<path d="M0-8V8"/>',
    }
    shape = Markup(shapes[style])  # noqa: S704 - one of the constants above
    return _svg('<svg class="mark {}" x="{}%" y="50%">{}</svg>', style, at, shape)


def _svg(template: str, *values: object) -> Markup:
    """Fill a constant template; every value is escaped, numbers are kept short."""
    short = (f"{value:.4g}" if isinstance(value, float) else value for value in values)
    return Markup(template).format(*short)  # noqa: S704 - templates are constants of this module


def _label(value: float, axis: Axis) -> str:
    digits = max(0, -math.floor(math.log10((axis.high - axis.low) / 4 or 1)))
    return f"{value:.{digits}f}" if digits else f"{round(value):,}"

"""Charts for a page without scripts: they follow its width and its colours, light or dark.

Curves are drawn in an SVG that stretches with the page; all text is HTML beside it, so it keeps its size on a phone.
"""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Iterator, Sequence

COLOURS = 8  # custom properties --series-1 to --series-8 of the page
_TICKS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class StripRow:
    """A value with its interval, in one line.

    Attributes:
        label: what it is.
        value: None for a row without a value.
        low: the lower end of its interval; None if it has none.
        high: the upper end.
        shown: the value as text.
        series: which colour, from 0.
        dots: single values that the value stands for.
    """

    label: str
    value: float | None
    shown: str
    low: float | None = None
    high: float | None = None
    series: int = 0
    dots: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """A line through points, which may have a break where a y is NaN."""

    name: str
    points: tuple[tuple[float, float], ...]
    series: int = 0
    marked: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis.

    Attributes:
        label: what it shows, with its unit.
        log: whether it is logarithmic.
        span: its ends, so that charts below each other have the same; None takes those of the points.
        ticks: (position in its unit, text); computed if empty.
    """

    label: str
    log: bool = False
    span: tuple[float, float] | None = None
    ticks: tuple[tuple[float, str], ...] = ()


def strips(rows: Sequence[StripRow], *, label: str) -> str:
    """Values with their intervals on one scale, one row each.

    Args:
        rows: at least one with a value.
        label: what the scale shows, with its unit.
    """
    numbers = [number for row in rows for number in (row.value, row.low, row.high, *row.dots) if number is not None]
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    room = (high - low or abs(high) or 1.0) * 0.05
    low, high = low - room, high + room

    def place(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    lines = []
    for row in rows:
        marks = "".join(f'<i class="dot" style="left:{place(value)}"></i>' for value in row.dots)
        if row.low is not None and row.high is not None:
            width = 100 * (row.high - row.low) / (high - low)
            marks += f'<i class="range" style="left:{place(row.low)};width:{width:.2f}%"></i>'
        if row.value is not None:
            marks += f'<i class="value" style="left:{place(row.value)}"></i>'
        lines.append(
            f'<div class="strip" style="--colour:var(--series-{row.series % COLOURS + 1})"><span class="name">'
            f'{html.escape(row.label)}</span><span class="track">{marks}</span>'
            f'<span class="number">{html.escape(row.shown)}</span></div>'
        )
    ends = "".join(
        f'<span style="left:{place(value)}">{text}</span>' for value, text in _linear_ticks(low, high, count=3)
    )
    lines.append(f'<div class="strip scale"><span class="name"></span><span class="track">{ends}</span>')
    lines.append('<span class="number"></span></div>')
    return f'<figure class="strips"><figcaption>{html.escape(label)}</figcaption>{"".join(lines)}</figure>'


def curves(drawn: Sequence[Curve], *, x: Axis, y: Axis, bound: float | None = None, bound_label: str = "") -> str:
    """Curves over one pair of axes, with a legend.

    Args:
        drawn: curves with at least two points in all; points that a logarithmic axis can't show are left out.
        x: the horizontal axis.
        y: the vertical axis.
        bound: a horizontal line at this y.
        bound_label: what the line is.
    """
    shown = [dataclasses.replace(curve, points=tuple(_showable(curve.points, x, y))) for curve in drawn]
    points = [point for curve in shown for point in curve.points if not math.isnan(point[1])]
    if len(points) < 2:
        return ""
    across = _Scale.over([point[0] for point in points], x)
    up = _Scale.over([*(point[1] for point in points), *([] if bound is None else [bound])], y)
    paths = "".join(_path(curve, across, up) for curve in shown)
    if bound is not None:
        height = 100 - up.place(bound)
        paths += f'<line class="bound" x1="0" x2="100" y1="{height:.2f}" y2="{height:.2f}"/>'
    lines, labels = "", ""
    for value, text in across.ticks(x):
        at = across.place(value)
        lines += f'<line class="grid" x1="{at:.2f}" x2="{at:.2f}" y1="0" y2="100"/>'
        labels += f'<span class="x" style="left:{at:.2f}%">{html.escape(text)}</span>'
    for value, text in up.ticks(y):
        at = up.place(value)
        lines += f'<line class="grid" x1="0" x2="100" y1="{100 - at:.2f}" y2="{100 - at:.2f}"/>'
        labels += f'<span class="y" style="bottom:{at:.2f}%">{html.escape(text)}</span>'
    dots = "".join(
        f'<i class="mark" style="left:{across.place(a):.2f}%;bottom:{up.place(b):.2f}%;'
        f'--colour:var(--series-{curve.series % COLOURS + 1})"></i>'
        for curve in shown
        if curve.marked
        for a, b in curve.points
        if not math.isnan(b)
    )
    legend = "".join(
        f'<li style="--colour:var(--series-{curve.series % COLOURS + 1})">{html.escape(curve.name)}</li>'
        for curve in shown
        if curve.name
    )
    legend += f'<li class="bound">{html.escape(bound_label)}</li>' if bound is not None and bound_label else ""
    return (
        f'<figure class="curves"><figcaption>{html.escape(y.label)}</figcaption><div class="plot">'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{html.escape(y.label)}">{lines}'
        f"{paths}</svg>{dots}{labels}</div>"
        f'<p class="axis">{html.escape(x.label)}</p>{f"<ul class=legend>{legend}</ul>" if legend else ""}</figure>'
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Scale:
    """From values to shares of an axis, 0 to 100."""

    low: float
    high: float
    log: bool

    @classmethod
    def over(cls, values: Sequence[float], axis: Axis) -> _Scale:
        ends = values if axis.span is None else axis.span
        shown = [math.log10(value) if axis.log else value for value in ends]
        low, high = min(shown), max(shown)
        room = (high - low or abs(high) or 1.0) * 0.04
        return cls(low=low - room, high=high + room, log=axis.log)

    def place(self, value: float) -> float:
        shown = math.log10(value) if self.log else value
        return 100 * (shown - self.low) / (self.high - self.low)

    def ticks(self, axis: Axis) -> list[tuple[float, str]]:
        if axis.ticks:
            return [(value, text) for value, text in axis.ticks if 0 <= self.place(value) <= 100]
        if not self.log:
            return list(_linear_ticks(self.low, self.high, count=_TICKS))
        return list(_log_ticks(10**self.low, 10**self.high))


def _showable(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> Iterator[tuple[float, float]]:
    for a, b in points:
        if (a > 0 or not x.log) and (math.isnan(b) or b > 0 or not y.log):
            yield a, b


def _path(curve: Curve, across: _Scale, up: _Scale) -> str:
    steps, pen = [], "M"
    for a, b in curve.points:
        if math.isnan(b):
            pen = "M"
            continue
        steps.append(f"{pen}{across.place(a):.2f} {100 - up.place(b):.2f}")
        pen = "L"
    colour = f"--colour:var(--series-{curve.series % COLOURS + 1})"
    return f'<path style="{colour}" d="{"".join(steps)}"/>' if steps else ""


def _linear_ticks(low: float, high: float, *, count: int) -> Iterator[tuple[float, str]]:
    """Round numbers within a range."""
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    digits = max(0, -math.floor(math.log10(step)))
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield number * step, f"{number * step:,.{digits}f}"


def _log_ticks(low: float, high: float) -> Iterator[tuple[float, str]]:
    """1, 2 and 5 times powers of ten within a range; only powers where these would be many."""
    factors = (1, 2, 5) if high / low < 300 else (1,)
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for factor in factors:
            value = factor * 10.0**power
            if low <= value <= high:
                yield value, f"{value:,.10g}"

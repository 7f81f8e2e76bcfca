"""Charts place what they draw where its numbers are, and leave out what an axis can't show."""

import math
import re

import pytest

from tfperf.reporting import charts
from tfperf.reporting.charts import Axis, Curve, StripRow


def lefts(text: str, kind: str) -> list[float]:
    return [float(found) for found in re.findall(rf'class="{kind}" style="left:([\d.]+)%', text)]


def test_a_strip_places_values_and_intervals_on_one_scale() -> None:
    rows = [
        StripRow(label="a", value=10.0, shown="10", low=0.0, high=20.0, dots=(0.0, 20.0)),
        StripRow(label="<b>", value=5.0, shown="5"),
    ]
    drawn = charts.strips(rows, label="p99 (ms)")
    assert lefts(drawn, "value") == [50.0, pytest.approx(27.27, abs=0.01)]
    low, high = lefts(drawn, "dot")
    assert lefts(drawn, "range") == [low]
    assert float(re.findall(r"width:([\d.]+)%", drawn)[0]) == pytest.approx(high - low, abs=0.02)
    assert "&lt;b&gt;" in drawn and "<b>" not in drawn
    assert charts.strips([StripRow(label="a", value=None, shown="--")], label="x") == ""


def test_equal_values_are_in_the_middle() -> None:
    assert lefts(charts.strips([StripRow(label="a", value=3.0, shown="3")], label="x"), "value") == [50.0]


def test_curves_break_where_a_value_is_missing_and_leave_out_what_a_log_axis_lacks() -> None:
    points = ((1.0, 1.0), (2.0, math.nan), (3.0, 10.0), (4.0, 100.0), (5.0, 0.0))
    drawn = charts.curves(
        [Curve(name="a", points=points, marked=True)], x=Axis(label="rate"), y=Axis(label="ms", log=True), bound=10.0
    )
    (path,) = re.findall(r'<path [^>]*d="([^"]+)"', drawn)
    assert re.findall("[ML]", path) == ["M", "M", "L"]
    places = [tuple(map(float, step.split())) for step in re.split("[ML]", path)[1:]]
    assert places[1][1] == pytest.approx(50, abs=0.01)  # 10 is in the middle of 1 and 100
    assert 'class="bound" x1="0" x2="100" y1="50.00"' in drawn
    assert drawn.count('class="mark"') == 3


def test_ticks_are_round_numbers_of_the_range() -> None:
    drawn = charts.curves(
        [Curve(name="", points=((0.0, 0.4), (100.0, 70.0)))], x=Axis(label="x"), y=Axis(label="y", log=True)
    )
    assert re.findall(r'class="x"[^>]*>([^<]+)<', drawn) == ["0", "50", "100"]
    assert re.findall(r'class="y"[^>]*>([^<]+)<', drawn) == ["0.5", "1", "2", "5", "10", "20", "50"]
    assert charts.curves([Curve(name="a", points=((1.0, 1.0),))], x=Axis(label="x"), y=Axis(label="y")) == ""

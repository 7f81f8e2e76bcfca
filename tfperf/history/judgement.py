"""What a series says about one figure: its level, its changes, its trend, and what the next run should be."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfperf.analysis import change_points, level, steady_state
from tfperf.analysis.change_points import ChangePoint
from tfperf.analysis.comparison import ComparedMetric
from tfperf.analysis.level import Alert, PredictionBand
from tfperf.stored.figures import FigureKind

_FOLLOWED = 200  # of the newest runs; what was before them has no influence on the present level
_LEAST_FOR_TREND = 8
_TREND_SIGNIFICANCE = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class LevelChange:
    """A change of the level.

    Attributes:
        path: the first run at the new level.
        ratio: the new level divided by the old one.
        p: two-sided probability of such a step in noise.
        worse: whether it is a change for the worse.
    """

    path: str
    ratio: float
    p: float
    worse: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesTrend:
    """A drift within the present level.

    Attributes:
        per_run: by how much each run differs from the one before, as a share.
        runs: over how many runs.
        p: two-sided probability by Mann and Kendall's test with Hamed and Rao's variance.
    """

    per_run: float
    runs: int
    p: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesFigure:
    """A figure of a series.

    Attributes:
        name: the figure.
        unit: its unit.
        higher_is_better: True for rates.
        newest: its value in the newest run of the baseline, with the path of the run.
        band: the 95 % prediction band of the next run; None with fewer than three runs.
        alert: whether the newest runs are worse than the level.
        change: how the worse runs compare with the level, as a ratio; None without an alert.
        worse: the paths of those runs.
        changes: changes of the level, oldest first.
        trend: a drift of the present level; None if there is none beyond noise.
        values: every value, oldest first.
    """

    name: str
    unit: str
    higher_is_better: bool
    newest: tuple[str, float]
    band: PredictionBand | None
    alert: Alert
    change: float | None
    worse: tuple[str, ...]
    changes: tuple[LevelChange, ...]
    trend: SeriesTrend | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, fields: dict[str, Any]) -> SeriesFigure:
        """The figure that `dataclasses.asdict` made plain."""
        band, trend, (path, value) = fields["band"], fields["trend"], fields["newest"]
        return cls(
            **{
                **fields,
                "newest": (str(path), float(value)),
                "band": None if band is None else PredictionBand(**band),
                "trend": None if trend is None else SeriesTrend(**trend),
                "worse": tuple(fields["worse"]),
                "changes": tuple(LevelChange(**each) for each in fields["changes"]),
                "values": tuple(fields["values"]),
            }
        )


def judge(kind: FigureKind, runs: Sequence[tuple[str, float]]) -> SeriesFigure:
    """Judges a figure.

    Args:
        kind: the figure.
        runs: (path, value) of each run that may be part of a baseline, oldest first; at least one.
    """
    values = [value for _, value in runs]
    metric = ComparedMetric(
        name=kind.name, unit=kind.unit, higher_is_better=kind.higher_is_better, threshold=kind.threshold
    )
    first = max(0, len(values) - _FOLLOWED)
    followed = level.follow(values[first:], metric=metric)
    return SeriesFigure(
        name=kind.name,
        unit=kind.unit,
        higher_is_better=kind.higher_is_better,
        newest=runs[-1],
        band=followed.band,
        alert=followed.alert,
        change=followed.change,
        worse=() if followed.alert == "none" else tuple(runs[first + number][0] for number in followed.tail),
        changes=tuple(_named(each, kind, runs) for each in change_points.find(values)),
        trend=_trend([values[first + number] for number in followed.level]),
        values=tuple(values),
    )


def _named(found: ChangePoint, kind: FigureKind, runs: Sequence[tuple[str, float]]) -> LevelChange:
    return LevelChange(
        path=runs[found.place][0],
        ratio=found.ratio,
        p=found.p,
        worse=(found.ratio > 1) != kind.higher_is_better,
    )


def _trend(values: Sequence[float]) -> SeriesTrend | None:
    if len(values) < _LEAST_FOR_TREND:
        return None
    _, p, slope = steady_state.mann_kendall(np.log(values))
    if p >= _TREND_SIGNIFICANCE or abs(slope) * len(values) < change_points.LEAST_CHANGE:
        return None
    return SeriesTrend(per_run=math.expm1(slope), runs=len(values), p=p)

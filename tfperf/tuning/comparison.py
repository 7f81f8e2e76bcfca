"""Repeats the best values and the default ones, alternating, and compares them: is the lead larger than noise?"""

from __future__ import annotations

import math
import statistics
import threading
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any, Literal

from tfperf import result
from tfperf.tuning import objective, trial_process, workload
from tfperf.tuning.project import Project
from tfperf.tuning.trial import Trial

FOLDER = "repeats"

# The 97.5th percentile of Student's t by degrees of freedom, 1 to 30; NIST/SEMATECH e-Handbook, table 1.3.6.7.2.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


def repeat(project: Project, best: Mapping[str, Any], *, workers: int) -> result.Comparison:
    """Runs the best values and the default ones again, alternating, and compares their objectives.

    Args:
        project: the sweep.
        best: field -> value.
        workers: runs at a time.

    Raises:
        KeyboardInterrupt: it was interrupted. The runs that had ended are kept.
    """
    spec = project.spec
    values: dict[str, Mapping[str, Any]] = {"default": {}, "best": best}
    order = [(name, number) for number in range(spec.repeats) for name in values]
    cancelled = threading.Event()
    with futures.ThreadPoolExecutor(max_workers=workers) as pool:
        pending = {each: pool.submit(_run, project, *each, values[each[0]], cancelled) for each in order}
        try:
            ended = {each: run.result().objective for each, run in pending.items()}
        except BaseException:
            cancelled.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    default, ours = ([ended[name, number] for number in range(spec.repeats)] for name in values)
    return compare(default, ours, direction=objective.DIRECTIONS[spec.objective])


def _run(project: Project, name: str, number: int, values: Mapping[str, Any], cancelled: threading.Event) -> Trial:
    return trial_process.run(
        project.path / FOLDER / name / str(number),
        workload.of(project.spec.base).repeat(project, values, number),
        limit_s=project.spec.trial_limit_s,
        cancelled=cancelled,
    )


def compare(
    default: Sequence[float | None], best: Sequence[float | None], *, direction: Literal["max", "min"]
) -> result.Comparison:
    """The difference of the means with its 95 % confidence interval by Welch's t-test.

    Args:
        default: the objective of each run with the default values; None for a run without one.
        best: the objective of each run with the best values.
        direction: whether more or less is better.
    """
    plain = result.Comparison(default=tuple(default), best=tuple(best))
    ours, theirs = _known(best), _known(default)
    if ours is None or theirs is None:
        return plain
    sign = 1 if direction == "max" else -1
    improvement = sign * (statistics.fmean(ours) - statistics.fmean(theirs))
    half = _half_width(ours, theirs)
    return result.Comparison(
        default=plain.default,
        best=plain.best,
        improvement=improvement,
        low=improvement - half,
        high=improvement + half,
        beyond_noise=improvement - half > 0,
    )


def _known(values: Sequence[float | None]) -> list[float] | None:
    """The values, if there are at least two and none is missing."""
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) > 1 else None


def _half_width(one: Sequence[float], other: Sequence[float]) -> float:
    parts = [statistics.variance(values) / len(values) for values in (one, other)]
    if not sum(parts):
        return 0.0
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (one, other), strict=True)
    )
    return _T[min(max(int(freedom), 1), len(_T)) - 1] * math.sqrt(sum(parts))

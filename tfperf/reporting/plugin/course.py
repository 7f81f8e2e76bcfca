"""Quality over the time on the clock, from the events of a training run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tfperf import events, result

_EVALUATED = "eval_accuracy"


def course(happened: Sequence[events.Event], *, quality: result.Quality | None) -> dict[str, Any] | None:
    """Every evaluation and where the target was crossed; None if the clock of the run has not started.

    Args:
        happened: the events, oldest first.
        quality: the quality in the result; None before there is a result.

    Returns:
        `metric`, `target`, `unit` (`epoch`, or `samples` if the run counts samples), `points` ({seconds, value,
        epoch}, the last in that unit), `crossed` (one of the points, or None) and `stopped_s`.
        The crossing is the first evaluation that reached the target.
    """
    started_s = next((event.time_s for event in happened if event.key == "run_start"), None)
    if started_s is None:
        return None
    metric, target = _target(happened, quality)
    points = [
        {"seconds": event.time_s - started_s, "value": event.value, "epoch": _number(event.metadata.get("epoch_num"))}
        for event in happened
        if event.key == _EVALUATED and _is_number(event.value)
    ]
    trained = [point for point in points if point["epoch"] != 0]  # 0 is before the first step
    reached = [point for point in trained if target is not None and _reaches(point["value"], target, quality)]
    stopped_s = next((event.time_s - started_s for event in happened if event.key == "run_stop"), None)
    return {
        "metric": metric,
        "target": target,
        "unit": _unit(happened),
        "points": points,
        "crossed": reached[0] if reached else None,
        "stopped_s": stopped_s,
    }


def _unit(happened: Sequence[events.Event]) -> str:
    """What `epoch_num` counts. A run that counts samples has blocks, but no epochs."""
    keys = {event.key for event in happened}
    return "samples" if "block_start" in keys and "epoch_start" not in keys else "epoch"


def _target(happened: Sequence[events.Event], quality: result.Quality | None) -> tuple[str, float | None]:
    if quality is not None:
        return quality.metric, quality.target
    target = next((event for event in happened if event.key == "quality_target"), None)
    if target is None:
        return "quality", None
    return str(target.metadata.get("metric", "quality")), target.value if _is_number(target.value) else None


def _reaches(value: float, target: float, quality: result.Quality | None) -> bool:
    return value <= target if quality is not None and quality.mode == "min" else value >= target


def _number(value: Any) -> Any:
    """The value if it is a number: the chart would show a text with its links."""
    return value if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

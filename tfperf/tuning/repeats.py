"""The best values and the default ones run again, by turns, to tell how much of the lead is luck."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent import futures
from typing import Any

from tfperf import result
from tfperf.tuning import attempt, comparison, kinds, objective
from tfperf.tuning.project import Project
from tfperf.tuning.trial import Trial

FOLDER = "repeats"


def run(opened: Project, best: Mapping[str, Any], *, workers: int) -> result.Comparison:
    """Compares the objective of the best values with that of the default ones, run by run.

    Args:
        opened: the project.
        best: field -> value; without any a run has the default ones.
        workers: runs at a time.

    Raises:
        KeyboardInterrupt: it was interrupted; the runs that had ended are kept.
    """
    asked = opened.asked
    values: dict[str, Mapping[str, Any]] = {"default": {}, "best": best}
    turns = [(name, number) for number in range(asked.repeats) for name in values]
    given_up = threading.Event()
    with futures.ThreadPoolExecutor(max_workers=workers) as pool:
        waiting = {turn: pool.submit(_run, opened, *turn, values[turn[0]], given_up) for turn in turns}
        try:
            ended = {turn: run.result().objective for turn, run in waiting.items()}
        except BaseException:
            given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    default, ours = ([ended[name, number] for number in range(asked.repeats)] for name in values)
    return comparison.compare(default, ours, direction=objective.DIRECTIONS[asked.objective])


def _run(opened: Project, name: str, number: int, values: Mapping[str, Any], given_up: threading.Event) -> Trial:
    return attempt.run(
        opened.path / FOLDER / name / str(number),
        kinds.of(opened.asked.base).repeat(opened, values, number),
        limit_s=opened.asked.trial_limit_s,
        given_up=given_up,
    )

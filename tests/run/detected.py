"""The small SSD from weights in a file, scored before training; exists only in tests.

`initial.npz` in the data directory holds all weights of the model, its moving statistics too.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfperf import benchmarks, spec
from tfperf.benchmarks.benchmark import OpenData, Scorer
from tfperf.benchmarks.ssd.options import SsdOptions

MINI = benchmarks.get("ssd_mini")
TASK = benchmarks.training_task(MINI)


class CountedImages:
    """Scores as the benchmark's own scorer, and counts images and the hosts that they come from."""

    def __init__(self, scorer: Any) -> None:
        self._scorer = scorer

    @property
    def scored(self) -> Any:
        return self._scorer.scored

    def reset(self) -> None:
        self._scorer.reset()

    def update(self, targets: Any, predictions: Any, weights: np.ndarray) -> None:
        self._scorer.update(targets, predictions, weights)

    def seen(self) -> bytes:
        seen: bytes = self._scorer.seen()
        return seen

    def result(self, seen: Sequence[bytes]) -> Mapping[str, float]:
        figures = self._scorer.result(seen)
        numbers = self._scorer.scored.images["number"]
        return {**figures, "images": len(numbers), "different": len(np.unique(numbers)), "hosts": len(seen)}


def open_data(data: spec.Data, options: SsdOptions, data_dir: pathlib.Path | None) -> OpenData:
    """The scenes, which need no directory."""
    return TASK.open_data(data, options, None)


def initial_weights(options: SsdOptions, data_dir: pathlib.Path | None) -> Mapping[str, np.ndarray]:
    assert data_dir is not None
    with np.load(data_dir / "initial.npz") as found:
        return dict(found)


def _scorer(options: SsdOptions) -> Scorer:
    assert TASK.scorer is not None
    return CountedImages(TASK.scorer(options))


BENCHMARK = dataclasses.replace(
    MINI,
    name="detected",
    mini_of=None,
    training=dataclasses.replace(TASK, open_data=open_data, scorer=_scorer, initial_weights=initial_weights),
)

"""Shows what there is to see of each evaluation, once the clock has counted it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras

from tfperf.benchmarks.benchmark import Exhibits, Scorer
from tfperf.reporting.tensorboard import TensorBoard
from tfperf.training.meter import Meter


class Exhibition(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Hands what there is to see to TensorBoard after each evaluation.

    It goes behind the meter's callback: what the evaluation that reaches the target shows is then off the clock. That
    of earlier evaluations is drawn by TensorBoard's thread while training goes on.

    Args:
        scorer: what scored the evaluation.
        exhibit: as in `OpenData`.
        board: TensorBoard.
        meter: knows the step.

    Attributes:
        seconds: CPU time spent in drawing so far.
    """

    def __init__(
        self, scorer: Scorer, exhibit: Callable[[Any], Callable[[], Exhibits]], *, board: TensorBoard, meter: Meter
    ) -> None:
        super().__init__()
        self.seconds = 0.0
        self._scorer = scorer
        self._exhibit = exhibit
        self._board = board
        self._meter = meter

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Queues the drawing."""
        make = self._exhibit(self._scorer)

        def timed() -> Exhibits:
            began = time.thread_time()
            exhibits = make()
            self.seconds += time.thread_time() - began
            return exhibits

        self._board.show(timed, step=self._meter.steps)

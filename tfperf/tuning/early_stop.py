"""Ends a trial that has no chance of being the best."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import keras

from tfperf import spec
from tfperf.training.meter import Meter

Curve = Sequence[tuple[int, float]]


class StopEarly(keras.callbacks.Callback):  # type: ignore[misc]
    """Stops the training when the earlier trials show that it can't be the best. Place it after the meter.

    Args:
        meter: the trial's clock.
        rule: the median rule; None if it isn't used.
        rivals: the curves of the trials that have ended, (epoch, quality) each.
        best_time_s: the shortest time to the target so far, beyond which a trial can't be the best. None unless time is
            the objective and a trial has reached the target.

    Attributes:
        reason: why the trial was stopped; empty if it was not.
        curve: this trial's evaluations so far.
    """

    def __init__(
        self,
        meter: Meter,
        *,
        rule: spec.EarlyStopping | None,
        rivals: Sequence[Curve] = (),
        best_time_s: float | None = None,
    ) -> None:
        super().__init__()
        self.reason = ""
        self.curve: list[tuple[int, float]] = []
        self._meter = meter
        self._rule = rule
        self._rivals = rivals
        self._best_time_s = best_time_s

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Judges the trial by the evaluation that has just ended."""
        meter = self._meter
        if not meter.epochs:  # before the first step
            return
        self.curve.append((len(meter.epochs), float(meter.quality or 0.0)))
        if self._rule is None or meter.reached:
            return
        self.reason = self._slower() or below_median(self.curve, rivals=self._rivals, rule=self._rule)
        if self.reason:
            self.model.stop_training = True

    def _slower(self) -> str:
        run_s, best_s = self._meter.run_s, self._best_time_s
        if best_s is None or run_s <= best_s:
            return ""
        return f"target not reached after {run_s:.1f} s on the clock; the best trial took {best_s:.1f} s"


def below_median(curve: Curve, *, rivals: Sequence[Curve], rule: spec.EarlyStopping) -> str:
    """Why the median rule stops a trial with this curve; empty if it does not."""
    epoch = curve[-1][0]
    if epoch < rule.after_epochs:
        return ""
    averages = [
        statistics.fmean(quality for at, quality in rival if at <= epoch)
        for rival in rivals
        if rival and rival[-1][0] >= epoch
    ]
    best = max(quality for _, quality in curve)
    if len(averages) < rule.after_trials or best >= statistics.median(averages):
        return ""
    return (
        f"quality {best:.4f} after epoch {epoch}, below the median {statistics.median(averages):.4f} of the averages "
        f"of {len(averages)} earlier trials up to that epoch"
    )

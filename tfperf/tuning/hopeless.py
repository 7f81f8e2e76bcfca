"""Ends a trial that has no chance of being the best."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import keras

from tfperf import spec
from tfperf.training.recorder import Recorder

Curve = Sequence[tuple[int, float]]


class Hopeless(keras.callbacks.Callback):  # type: ignore[misc]
    """Stops the training when the trials before it say that it leads nowhere. Stands behind the recorder.

    Args:
        recorder: of the trial.
        rule: when to judge.
        rivals: the curves of the trials that have ended, (epoch, quality) each.
        best_time_s: the shortest time to the target so far, beyond which a trial can't be the best; None where time is
            not the objective or nobody reached the target.

    Attributes:
        reason: why the trial was stopped; empty when it was not.
        curve: its own evaluations so far.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        rule: spec.EarlyStopping | None,
        rivals: Sequence[Curve] = (),
        best_time_s: float | None = None,
    ) -> None:
        super().__init__()
        self.reason = ""
        self.curve: list[tuple[int, float]] = []
        self._recorder = recorder
        self._rule = rule
        self._rivals = rivals
        self._best_time_s = best_time_s

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Looks at the evaluation that has just ended."""
        recorder = self._recorder
        self.curve.append((recorder.epochs, float(recorder.quality or 0.0)))
        if self._rule is None or recorder.reached:
            return
        self.reason = self._slower() or below_median(self.curve, rivals=self._rivals, rule=self._rule)
        if self.reason:
            self.model.stop_training = True

    def _slower(self) -> str:
        run_s, best_s = self._recorder.run_s, self._best_time_s
        if best_s is None or run_s <= best_s:
            return ""
        return f"{run_s:.1f} s on the clock and not there; the best trial took {best_s:.1f} s"


def below_median(curve: Curve, *, rivals: Sequence[Curve], rule: spec.EarlyStopping) -> str:
    """Why a trial with this curve is to be stopped by the median rule; empty when it is not."""
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
        f"quality {best:.4f} after epoch {epoch}; the median of what {len(averages)} trials had on average by then is "
        f"{statistics.median(averages):.4f}"
    )

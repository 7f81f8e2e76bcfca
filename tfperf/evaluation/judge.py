"""Judges each compiled form on the whole data, by the metrics of the user's model. That model is not touched.

The metrics are copied into a Keras model that only passes answers on, so that Keras itself decides what `accuracy`
means for these labels and outputs, and to which output a metric belongs.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfperf import result
from tfperf.errors import ArgumentError, UnfitModelError
from tfperf.evaluation.executables import AS_GIVEN, Arrays
from tfperf.evaluation.subject import Subject

# Keras metrics for which less is better, by parts of their names.
_ERRORS = ("loss", "error", "entropy", "divergence", "hinge", "poisson", "logcosh", "false_", "rmse", "mae", "mse")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """The metrics to judge by, as `keras.Model.compile` takes them."""

    loss: Any = None
    metrics: Any = None
    weighted_metrics: Any = None

    @property
    def any(self) -> bool:
        """Whether there is one at all."""
        return any(each is not None for each in (self.loss, self.metrics, self.weighted_metrics))


def wanted(subject: Subject, given: Sequence[Any] | None) -> tuple[Wanted, tuple[str, ...]]:
    """The metrics that were asked for, or copies of those that the model was compiled with; and notes.

    Raises:
        ArgumentError: Keras knows no such metric.
    """
    import keras

    if given is not None:
        found = []
        for each in given:
            try:
                found.append(keras.metrics.get(each) if isinstance(each, str) and each not in _SHORT else each)
            except ValueError as error:
                raise ArgumentError(
                    f"metrics: Keras has no metric {each!r}. Give the name of one, such as accuracy, AUC or "
                    "mean_absolute_error, or a function of (labels, outputs)."
                ) from error
        return Wanted(metrics=found), ()
    model = subject.model
    # Keras's public get_compile_config() gives text, from which a metric that the user wrote and did not register can't
    # be made again. So these are read from where compile() leaves them: `_compile_metrics` with `_user_metrics` and
    # `_user_weighted_metrics` (checked with Keras 3.15). A test fails if one of these names goes.
    compiled = getattr(model, "_compile_metrics", None)
    if model is None or not getattr(model, "compiled", False):
        return Wanted(), ()
    try:
        return (
            Wanted(
                loss=_copied(getattr(model, "loss", None)),
                metrics=_copied(getattr(compiled, "_user_metrics", None)),
                weighted_metrics=_copied(getattr(compiled, "_user_weighted_metrics", None)),
            ),
            (),
        )
    except (TypeError, ValueError) as error:
        return Wanted(), (f"The metrics that the model was compiled with can't be copied: {error}",)


_SUMS = ("losses", "weights", "examples", "not_finite")
_HIGHEST = ("difference", "largest", "judged")
_SHORT = ("accuracy", "acc", "crossentropy", "ce")  # Keras chooses the metric by labels and outputs


class Judge:
    """Gathers the quality of one form, batch by batch.

    Args:
        executable: the form.
        by: the metrics.
        template: nested outputs, as the model gives them.
        output_names: the names of a functional model's outputs.
    """

    def __init__(self, executable: str, by: Wanted, *, template: Any, output_names: Sequence[str] | None) -> None:
        self.executable = executable
        self._by, self._template = by, template
        self._answers = _passing_on(by, output_names) if by.any else None
        self._values: dict[str, float] = {}
        self._losses, self._weights = 0.0, 0.0
        self._examples, self._not_finite, self._judged = 0, 0, False
        self._difference, self._largest = 0.0, 0.0

    def add(self, outputs: Arrays, *, labels: Any, weights: Any, reference: Arrays | None) -> None:
        """Judges the outputs for a batch.

        Args:
            outputs: the flat outputs.
            labels: the labels, nested; None without any.
            weights: the sample weights.
            reference: the outputs of the model as given; None for itself.

        Raises:
            UnfitModelError: the metrics don't fit the labels.
        """
        import keras

        count = len(outputs[0])
        self._examples += count
        bad = np.zeros(count, bool)
        for array in outputs:
            if array.dtype.kind in "fc":
                bad |= ~np.isfinite(array.reshape(count, -1)).all(axis=1)
        self._not_finite += int(bad.sum())
        if reference is not None:
            self._compare(outputs, reference)
        if self._answers is None or labels is None:
            return
        nested = keras.tree.pack_sequence_as(self._template, list(outputs))
        try:
            if self._by.loss is not None:
                loss = float(self._answers.compute_loss(None, labels, nested, weights))
                self._losses += loss * count
                self._weights += count
            self._answers.compute_metrics(None, labels, nested, weights)
            self._judged = True
        except (ValueError, TypeError, KeyError, IndexError) as error:
            import numpy

            shapes = [numpy.shape(each) for each in keras.tree.flatten(labels)]
            raise UnfitModelError(
                f"The metrics can't be computed: labels of shape {shapes}, outputs of shape "
                f"{[array.shape for array in outputs]}. {' '.join(str(error).split())[:300]}"
            ) from error

    def judged(self, reference: result.Judged | None, *, most_lost: float) -> result.Judged:
        """The quality.

        Args:
            reference: that of the model as given; None for itself.
            most_lost: the share of a metric that may be lost.
        """
        values = self.values()
        lost = () if reference is None else lost_metrics(values, reference.values, most_lost=most_lost)
        reasons = [
            *lost,
            *((f"{self._not_finite:,} of {self._examples:,} answers are not finite",) if self._not_finite else ()),
        ]
        share = None
        if self.executable != AS_GIVEN:
            share = self._difference / self._largest if self._largest else self._difference
        return result.Judged(
            executable=self.executable,
            values=values,
            examples=self._examples,
            difference=share if share is None or math.isfinite(share) else None,
            not_finite=self._not_finite,
            accurate=not reasons,
            reason="; ".join(reasons),
        )

    def values(self) -> dict[str, float]:
        """The metrics so far."""
        if self._answers is None or not self._judged:
            return {}
        found = {"loss": self._losses / self._weights} if self._weights else {}
        for name, value in self._answers.get_metrics_result().items():
            if name != "loss" and np.ndim(value) == 0:
                found[name] = float(value)
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def state(self) -> dict[str, Any]:
        """What it gathered so far, as plain values, for the same judge on another host.

        Raises:
            UnfitModelError: a metric is not a sum over examples.
        """
        variables = [variable for metric in self._metrics() for variable in metric.variables]
        wrong = [variable.path for variable in variables if getattr(variable, "aggregation", "sum") != "sum"]
        if wrong:
            raise UnfitModelError(f"metrics: {', '.join(wrong)} can't be added up over hosts.")
        return {
            "metrics": [np.asarray(variable).tolist() for variable in variables],
            **{name: getattr(self, f"_{name}") for name in (*_SUMS, *_HIGHEST)},
        }

    def take(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Takes the sum of states instead of its own, as Keras adds up the replicas of a strategy.

        Raises:
            ValueError: they are of other metrics.
        """
        variables = [variable for metric in self._metrics() for variable in metric.variables]
        for place, variable in enumerate(variables):
            variable.assign(sum(np.asarray(state["metrics"][place], variable.dtype) for state in states))
        for name in _SUMS:
            setattr(self, f"_{name}", sum(state[name] for state in states))
        for name in _HIGHEST:
            setattr(self, f"_{name}", max(state[name] for state in states))

    def _metrics(self) -> Sequence[Any]:
        return () if self._answers is None else list(self._answers.metrics)

    def _compare(self, outputs: Arrays, reference: Arrays) -> None:
        for array, other in zip(outputs, reference, strict=True):
            if array.dtype.kind in "fiu" and array.size:
                wide, given = array.astype(np.float64), other.astype(np.float64)
                with np.errstate(invalid="ignore"):
                    self._difference = max(self._difference, float(np.nan_to_num(np.abs(wide - given)).max()))
                    self._largest = max(self._largest, float(np.nan_to_num(np.abs(given)).max()))


def lost_metrics(values: Mapping[str, float], reference: Mapping[str, float], *, most_lost: float) -> list[str]:
    """The metrics that are worse than the reference's by more than a share of its value."""
    lost = []
    for name, value in values.items():
        if name not in reference or name == "loss":  # the loss of a form with other precision says little by itself
            continue
        before, sign = reference[name], -1 if any(part in name.lower() for part in _ERRORS) else 1
        if sign * (before - value) > most_lost * abs(before) + 1e-9:
            lost.append(f"its {name} is {value:.4f}; the model as given has {before:.4f}")
    return lost


def _copied(metrics: Any) -> Any:
    """Metrics and losses with a state of their own."""
    import keras

    if isinstance(metrics, keras.metrics.Metric | keras.losses.Loss):
        return type(metrics).from_config(metrics.get_config())
    if isinstance(metrics, Mapping):
        return {name: _copied(each) for name, each in metrics.items()}
    if isinstance(metrics, list | tuple):
        return [_copied(each) for each in metrics]
    return metrics if callable(metrics) or metrics is None else copy.copy(metrics)


def _passing_on(by: Wanted, output_names: Sequence[str] | None) -> Any:
    """A Keras model that passes answers on, compiled with the metrics."""
    import keras

    class PassedOn(keras.Model):  # type: ignore[misc]
        """Passes on what it gets."""

        def call(self, inputs: Any) -> Any:
            return inputs

    model = PassedOn()
    if output_names:
        model.output_names = list(output_names)
    model.compile(
        loss=by.loss, metrics=_copied(by.metrics), weighted_metrics=_copied(by.weighted_metrics), run_eagerly=True
    )
    return model

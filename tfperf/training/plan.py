"""How long a run trains and when it is evaluated, in steps."""

from __future__ import annotations

import dataclasses
import itertools
import math

from tfperf import spec as specs


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedEpoch:
    """An epoch as Keras callbacks see it; with a cadence in samples, the training between two evaluations.

    Attributes:
        steps: optimizer steps.
        evaluated: whether it ends with an evaluation.
    """

    steps: int
    evaluated: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The epochs of a run.

    Attributes:
        epochs: the epochs to train at most.
        evaluation_steps: batches of the evaluation split.
        steps_per_execution: steps per host callback; an execution never crosses the end of an epoch.
        evaluation_examples: the examples that each evaluation must count; None if that is not known.
        corrupt_examples: how many of them may be missing because they are corrupt.
        evaluated_at_start: whether the model is evaluated before the first epoch.
    """

    epochs: tuple[PlannedEpoch, ...]
    evaluation_steps: int
    steps_per_execution: int = 1
    evaluation_examples: int | None = None
    corrupt_examples: int = 0
    evaluated_at_start: bool = False

    def epochs_to_evaluation(self, epoch: int) -> int:
        """Epochs from the beginning of `epoch`, which counts from 1, to the next evaluation."""
        return len(self._to_evaluation(epoch))

    def steps_to_evaluation(self, epoch: int) -> int:
        """Steps from the beginning of `epoch`, which counts from 1, to the next evaluation."""
        return sum(planned.steps for planned in self._to_evaluation(epoch))

    def _to_evaluation(self, epoch: int) -> tuple[PlannedEpoch, ...]:
        rest = self.epochs[epoch - 1 :]
        return rest[: next((n for n, planned in enumerate(rest, 1) if planned.evaluated), len(rest))]


def total_steps(spec: specs.TrainSpec, *, steps_per_epoch: int) -> int:
    """The most optimizer steps that the run may take. The learning rate schedule spans them."""
    if spec.max_steps is not None:
        return spec.max_steps
    assert spec.max_epochs is not None, "TrainSpec has one of the two"
    return spec.max_epochs * steps_per_epoch


def epochs(spec: specs.TrainSpec, *, steps_per_epoch: int, max_epochs: int | None = None) -> tuple[PlannedEpoch, ...]:
    """The epochs of a run; the last one is evaluated.

    Args:
        spec: the spec, which sets how often the model is evaluated.
        steps_per_epoch: optimizer steps in a pass over the training data.
        max_epochs: stop after this many passes if the spec allows more; None for the spec's limit.
    """
    last = total_steps(spec, steps_per_epoch=steps_per_epoch)
    if max_epochs is not None:
        last = min(last, max_epochs * steps_per_epoch)
    if spec.evaluation.every_samples is None:
        count = math.ceil(last / steps_per_epoch)
        return tuple(
            PlannedEpoch(
                steps=min(steps_per_epoch, last - (epoch - 1) * steps_per_epoch),
                evaluated=spec.evaluation.due(epoch, max_epochs=count),
            )
            for epoch in range(1, count + 1)
        )
    ends = evaluation_ends(spec.evaluation.every_samples, batch_size=spec.global_batch_size, last_step=last)
    return tuple(PlannedEpoch(steps=end - begin) for begin, end in itertools.pairwise((0, *ends)))


def samples_to_evaluation(samples: int, *, every_samples: int, batch_size: int) -> int:
    """Samples from here to the next evaluation: the first step at or after the next multiple of `every_samples`."""
    steps = math.ceil(((samples // every_samples + 1) * every_samples - samples) / batch_size)
    return steps * batch_size


def evaluation_ends(every_samples: int, *, batch_size: int, last_step: int) -> tuple[int, ...]:
    """The steps after which a run with a cadence in samples is evaluated: `last_step`, and before it the first step at
    or after each multiple of `every_samples`."""
    multiples = range(every_samples, last_step * batch_size, every_samples)
    return (*sorted({math.ceil(samples / batch_size) for samples in multiples} - {last_step}), last_step)

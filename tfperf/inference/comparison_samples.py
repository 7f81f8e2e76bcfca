"""The samples on which compiled forms are measured, calibrated and judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples
from tfperf.benchmarks.tensor import Sample, has_length
from tfperf.errors import MissingDataError, TfperfError
from tfperf.inference import forms
from tfperf.inference.executable import Bucket, empty_batch
from tfperf.inference.library import length_index_of

if TYPE_CHECKING:
    import keras

# A form that answers 256 samples as float32 does is known to lose at most 1 % (see `paired`). With 2048 samples it may
# answer 2 % of them differently. They are kept in memory once.
_FEWEST_JUDGED, _MOST_JUDGED, _JUDGED_BYTES = 256, 2048, 256e6
_SEVERAL_LENGTHS_SAMPLES = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedModel:
    """The model whose forms are compared, and how its answers are judged.

    Attributes:
        load_model: makes the Keras model with its weights in a child process, so it must be picklable: a function of
            a module, or a partial of one.
        weights_bytes: size of the model's weights in float32, from which the memory to build a form is estimated.
        task: how the model is served and its answers are scored.
        options: the model's options.
        samples: the evaluation set. Forms are judged on its calibration samples, which are outside it.
    """

    load_model: Callable[[], keras.Model]
    weights_bytes: int
    task: InferenceTask
    options: Any
    samples: OpenSamples

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths that it is compiled for, ascending; empty if samples have none."""
        return self.task.lengths_for(self.options)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonSamples:
    """The samples with which forms are measured, calibrated and judged.

    Attributes:
        timed: samples to measure with.
        length_indices: for each of them, the index of the length that it is padded to.
        calibrating: samples from which int8 forms take their ranges.
        judged: other samples, on which answers are compared.
        numbers: the numbers of the judged samples in `calibration`.
        calibration: the set that contains both; None if nothing is judged.
    """

    timed: Sequence[Sample]
    length_indices: Sequence[int]
    calibrating: Sequence[Sample] = ()
    judged: Sequence[Sample] = ()
    numbers: Sequence[int] = ()
    calibration: OpenSamples | None = None

    @classmethod
    def of(cls, model: ComparedModel, buckets: Sequence[Bucket], *, judges: bool) -> ComparisonSamples:
        """Loads the samples: calibration samples if forms are judged, otherwise some of the evaluation set.

        Raises:
            TfperfError: a sample does not fit the model, or there are too few.
        """
        several = has_length(model.task.inputs(model.options))
        timed_samples = _SEVERAL_LENGTHS_SAMPLES if several else max(bucket.batch for bucket in buckets)
        if not judges:
            timed = model.samples.load(range(min(timed_samples, model.samples.total)))
            return cls(timed=timed, length_indices=_length_indices(model, timed))
        try:
            calibration = model.samples.calibration(forms.MOST_CALIBRATION_SAMPLES + _most_judged(model))
        except MissingDataError as error:
            raise MissingDataError(
                f"{error} Compiled forms are compared on calibration samples. Set executable to one form in float32, "
                "which needs none."
            ) from error
        if calibration.total < 2:
            raise TfperfError(
                f"Forms are compared on calibration samples other than those that calibrate int8, which takes 2 or "
                f"more; got {calibration.total}. Set executable to one form in float32, which needs none."
            )
        total, count = calibration.total, min(forms.MOST_CALIBRATION_SAMPLES, calibration.total // 2)
        calibrating = [number * total // count for number in range(count)]  # evenly spaced, if they are sorted by class
        numbers = _shuffled(set(range(total)) - set(calibrating))
        loaded = calibration.load(range(total))
        length_indices = _length_indices(model, loaded, of=" of the calibration set")
        return cls(
            timed=[loaded[number] for number in numbers[:timed_samples]],
            length_indices=[length_indices[number] for number in numbers[:timed_samples]],
            calibrating=[loaded[number] for number in calibrating],
            judged=[loaded[number] for number in numbers],
            numbers=numbers,
            calibration=calibration,
        )


def _length_indices(model: ComparedModel, samples: Sequence[Sample], *, of: str = "") -> list[int]:
    """For each sample, the index of the length that it is padded to.

    Args:
        model: the model.
        samples: numbered from 0.
        of: follows the number of a sample in a message.

    Raises:
        UnfitSampleError: a sample does not fit the model.
    """
    inputs, lengths = model.task.inputs(model.options), model.lengths or (None,)
    return [length_index_of(sample, f"{number}{of}", inputs, lengths) for number, sample in enumerate(samples)]


def _most_judged(model: ComparedModel) -> int:
    """How many samples to judge forms on at most, so that they fit into memory."""
    inputs = model.task.inputs(model.options)
    length = model.lengths[-1] if model.lengths else None
    sample_bytes = sum(array.nbytes for array in empty_batch(inputs, Bucket(1, length)))
    return max(_FEWEST_JUDGED, min(_MOST_JUDGED, int(_JUDGED_BYTES / sample_bytes)))


def _shuffled(numbers: Collection[int]) -> list[int]:
    """In an order that is always the same: a slow form answers only the first, which may not be of one class."""
    return [int(number) for number in np.random.default_rng(0).permutation(sorted(numbers))]

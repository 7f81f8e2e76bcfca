"""The model in its compiled forms, in this process: each answers requests, and batches whose answers are judged."""

from __future__ import annotations

import dataclasses
import pathlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from tfperf.benchmarks.tensor import Tensor
from tfperf.errors import TfperfError, UnfitModelError
from tfperf.evaluation import issuer
from tfperf.evaluation.examples import Examples, named
from tfperf.evaluation.subject import Subject, flat_outputs
from tfperf.inference import forms
from tfperf.inference.executable import Bucket, Executable

AS_GIVEN = "as_given"

Arrays: TypeAlias = Sequence[np.ndarray]
Answer: TypeAlias = Callable[[Arrays], list[np.ndarray]]

_LOOKED_AT = 16  # after every request was looked at once, every 16th
_NOT_KERAS = "only a Keras model can be compiled into other forms"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ends:
    """What goes into the model and what comes out, found by calling it once.

    Attributes:
        inputs: the flat inputs.
        outputs: the flat outputs.
        template: nested outputs, which tell how the model gives them.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    template: Any


def ends(subject: Subject, examples: Examples, batch: Arrays) -> Ends:
    """Calls the model as it was given on a batch.

    Raises:
        UnfitModelError: the batch does not fit the model, or the outputs can't be told apart by example.
    """
    from tfperf.evaluation.examples import shown

    try:
        outputs = subject.call(examples.packed(batch))
    except TfperfError:
        raise
    except Exception as error:  # whatever the user's model raises
        wanted = _wanted(subject)
        raise UnfitModelError(
            f"The model {subject.name} failed on the first batch of the data. The data gives {shown(batch)}{wanted}. "
            f"{type(error).__name__}: {_first_lines(error)}"
        ) from error
    arrays = [_array(each) for each in flat_outputs(outputs)]
    count = len(batch[0])
    wrong = [array.shape for array in arrays if not array.ndim or len(array) != count]
    if wrong or not arrays:
        got = f"an output of shape {wrong[0]}" if wrong else "nothing"
        raise UnfitModelError(
            f"The model {subject.name} gives {got} for {count} examples. Each output must have one row for each "
            "example."
        )
    declared = list(subject.model.inputs) if subject.input_names and subject.model is not None else []
    same = len(declared) == len(batch)
    return Ends(
        inputs=tuple(
            Tensor(name=name, shape=array.shape[1:], dtype=_dtype(declared[place]) if same else array.dtype.name)
            for place, (name, array) in enumerate(zip(named(examples.template, prefix="input"), batch, strict=True))
        ),
        outputs=tuple(
            Tensor(name=name, shape=array.shape[1:], dtype=array.dtype.name)
            for name, array in zip(named(outputs, prefix="output"), arrays, strict=True)
        ),
        template=outputs,
    )


class InProcess:
    """One compiled form in this process.

    Attributes:
        form: its name.
    """

    def __init__(
        self,
        form: str,
        subject: Subject,
        examples: Examples,
        found: Ends,
        *,
        directory: pathlib.Path,
        instances: int,
        calibration: Sequence[Arrays] = (),
    ) -> None:
        """Builds the form; nothing is compiled before `prepare`.

        Raises:
            forms.machine.UnavailableError: this machine or this model can't have the form.
        """
        from tfperf.inference.forms.machine import UnavailableError, offered
        from tfperf.system import devices

        self.form = form
        self._subject, self._examples = subject, examples
        self._traces = 0
        self._answers: dict[tuple[Any, ...], Answer] = {}
        self._opened: tuple[forms.Opened, ...] = ()
        self._lock = threading.Lock()
        if form == AS_GIVEN:
            return
        if subject.model is None:
            raise UnavailableError(f"{_NOT_KERAS}, and this is a {subject.kind}")
        refused = offered(form)
        if refused is not None:
            raise UnavailableError(refused)
        try:
            forms.build(
                form,
                subject.model,
                directory / form,
                inputs=found.inputs,
                outputs=found.outputs,
                calibration=[tuple(array[0] for array in sample) for sample in calibration],
            )
            self._opened = forms.open_forms(
                form, directory / form, buckets=[], threads=devices.usable_cores(), instances=instances
            )
        except UnavailableError:
            raise
        except Exception as error:  # whatever the converters raise for somebody's model
            raise UnavailableError(f"{type(error).__name__}: {_first_lines(error)}") from error

    @property
    def traces(self) -> int:
        """Tracings and compilations so far."""
        return self._traces + sum(opened.traces() for opened in self._opened)

    def prepare(self, batch: Arrays, *, instance: int = 0) -> Answer:
        """A function that answers batches of this shape on one instance, compiled and run once."""
        if not self._opened and not self._subject.traceable:
            return self._eagerly
        place = instance % len(self._opened) if self._opened else 0
        key = (place, *(array.shape for array in batch))
        with self._lock:
            if key not in self._answers:
                self._answers[key] = self._bound(self._opened[place], batch) if self._opened else self._traced(batch)
            return self._answers[key]

    def _bound(self, opened: forms.Opened, batch: Arrays) -> Answer:
        opened.prepare(Bucket(len(batch[0])))
        answer = of_opened(opened)
        answer(batch)
        return answer

    def _eagerly(self, arrays: Arrays) -> list[np.ndarray]:
        outputs = self._subject.call(self._examples.packed(arrays))
        return [_array(each) for each in flat_outputs(outputs)]

    def _traced(self, batch: Arrays) -> Answer:
        import tensorflow as tf

        call, packed = self._subject.call, self._examples.packed

        def forward(*tensors: Any) -> list[Any]:
            self._traces += 1
            return list(flat_outputs(call(packed(tensors))))

        function = tf.function(forward, autograph=False)
        concrete = function.get_concrete_function(
            *(
                tf.TensorSpec(array.shape, tf.as_dtype(array.dtype) if array.dtype != object else tf.string)
                for array in batch
            )
        )

        def answer(arrays: Arrays) -> list[np.ndarray]:
            return [tensor.numpy() for tensor in concrete(*map(tf.convert_to_tensor, arrays))]

        answer(batch)
        return answer


class FromMemory:
    """An instance that answers requests whose inputs are in memory."""

    def __init__(self, answer: Answer, requests: Sequence[Arrays]) -> None:
        self._answer, self._requests = answer, requests
        self._outputs: list[np.ndarray] = []

    def answer(self, number: int) -> int:
        """See `issuer.ModelInstance`."""
        requests = self._requests
        self._outputs = self._answer(requests[number % len(requests)])
        return 0

    def look(self, number: int) -> bool:
        """Looks at the answer to each request once, then at every 16th."""
        if number >= len(self._requests) and number % _LOOKED_AT:
            return True
        return finite(self._outputs)


class FromPipeline:
    """An instance that makes the inputs of each request by the user's own code."""

    def __init__(
        self, executable: InProcess, make: Callable[[int], tuple[np.ndarray, ...]], *, first: Arrays, instance: int
    ) -> None:
        """Makes nothing yet.

        Args:
            executable: the form.
            make: makes the inputs of a request.
            first: a batch of the shape that most have.
            instance: which instance of the form answers.
        """
        self._executable, self._make, self._instance = executable, make, instance
        self._answers = {_shapes(first): executable.prepare(first, instance=instance)}
        self._outputs: list[np.ndarray] = []
        self.samples = 0

    def answer(self, number: int) -> int:
        """See `issuer.ModelInstance`."""
        begin_ns = time.perf_counter_ns()
        inputs = self._make(number)
        data_ns = time.perf_counter_ns() - begin_ns
        shapes = _shapes(inputs)
        known = self._answers.get(shapes)
        if known is None:  # such as the last batch of the data, which may be smaller
            known = self._answers[shapes] = self._executable.prepare(inputs, instance=self._instance)
            data_ns = issuer.RETRACED
        self._outputs = known(inputs)
        self.samples += len(inputs[0])
        return data_ns

    def look(self, number: int) -> bool:
        """Looks at every answer."""
        return finite(self._outputs)


def of_opened(opened: Executable) -> Answer:
    """A function that answers batches by an opened form, whose size it was compiled for."""

    def answer(arrays: Arrays) -> list[np.ndarray]:
        return list(opened.run(opened.stage(opened.encode(tuple(arrays)))))

    return answer


def finite(outputs: Arrays) -> bool:
    """Whether no output has a NaN or an infinity."""
    return all(bool(np.isfinite(array).all()) for array in outputs if array.dtype.kind in "fc")


def _shapes(batch: Arrays) -> tuple[tuple[int, ...], ...]:
    return tuple(array.shape for array in batch)


def _array(value: Any) -> np.ndarray:
    return value.numpy() if hasattr(value, "numpy") else np.asarray(value)


def _dtype(tensor: Any) -> str:
    return str(getattr(tensor, "dtype", "float32"))


def _wanted(subject: Subject) -> str:
    if not subject.input_names or subject.model is None:
        return ""
    taken = "; ".join(f"{tensor.name}: {tensor.dtype} {list(tensor.shape)}" for tensor in subject.model.inputs)
    return f", the model takes {taken}"


def _first_lines(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}..."

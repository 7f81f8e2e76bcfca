"""What the child processes of a measurement receive, and how they open it."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

from tfperf import spec as specs
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples
from tfperf.inference import forms, load_model, model_check
from tfperf.inference.executable import Bucket
from tfperf.inference.forms import machine
from tfperf.inference.job import ServedModel
from tfperf.inference.weights import FoundModel
from tfperf.system import allocator

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingInputs:
    """The model and the data of a measurement; picklable.

    Attributes:
        task: how the benchmark is served.
        options: the model's options.
        model: the trained model.
        data: the source of the samples.
        data_dir: the data directory; None for embedded data.
        device: the device to serve on; None takes a GPU if there is one.
    """

    task: InferenceTask
    options: Any
    model: FoundModel
    data: specs.Data
    data_dir: pathlib.Path | None
    device: specs.Device | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServedForm:
    """The compiled form that was chosen, as a child process opens it.

    Attributes:
        executable: its name.
        directory: where it was built.
        buckets: the sizes that it is compiled for.
        threads: CPU threads per operation.
        instances: how many instances to open.
    """

    executable: str
    directory: pathlib.Path
    buckets: tuple[Bucket, ...]
    threads: int
    instances: int

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes that it is compiled for, ascending."""
        return tuple(sorted({bucket.batch for bucket in self.buckets}))


def open_model(inputs: ServingInputs) -> keras.Model:
    """The model with its weights, checked against the tensors that the benchmark declares."""
    model = load_model.load(inputs.model, inputs.task, inputs.options)
    model_check.check(model, inputs.task, inputs.options)
    return model


def open_samples(inputs: ServingInputs) -> OpenSamples:
    """The evaluation set."""
    return inputs.task.open_samples(inputs.data, inputs.options, inputs.data_dir)


def open_served(inputs: ServingInputs, form: ServedForm) -> ServedModel:
    """Opens the model that LoadGen measures, and runs it once at every size. Call this in a fresh process."""
    allocator.keep_freed_memory()
    machine.set_up(threads=form.threads, instances=form.instances, device=inputs.device)
    executable, *copies = forms.open_forms(
        form.executable, form.directory, buckets=form.buckets, threads=form.threads, instances=form.instances
    )
    samples = open_samples(inputs)
    return ServedModel(
        executable=executable,
        copies=tuple(copies),
        total=samples.total,
        load=samples.load,
        respond=inputs.task.responder(samples),
        processor=machine.computes(form.executable),
    )

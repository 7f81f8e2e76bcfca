"""What the child processes of a measurement are given, and what they make of it."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

from tfperf import spec
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples
from tfperf.inference import forms, weights
from tfperf.inference.forms import machine
from tfperf.inference.job import ServedModel
from tfperf.system import allocator

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """The model and the data of a measurement, picklable.

    Attributes:
        task: how the benchmark is served.
        options: of the model.
        source: the weights.
        data: where samples come from.
        data_dir: where that is; None for embedded data.
    """

    task: InferenceTask
    options: Any
    source: weights.Source
    data: spec.Data
    data_dir: pathlib.Path | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """A compiled form that was chosen, as the child process opens it."""

    executable: str
    directory: pathlib.Path
    batch_sizes: tuple[int, ...]
    threads: int
    instances: int


def load_model(inputs: Inputs) -> keras.Model:
    """The model with its weights, checked against what the benchmark feeds it and expects of it."""
    model = weights.load(inputs.source, inputs.task, inputs.options)
    weights.check(model, inputs.task, inputs.options)
    return model


def open_samples(inputs: Inputs) -> OpenSamples:
    """The evaluation set."""
    return inputs.task.open_samples(inputs.data, inputs.options, inputs.data_dir)


def open_served(inputs: Inputs, form: Form) -> ServedModel:
    """What LoadGen measures; every batch size was run once when this returns. To be called in a fresh process."""
    allocator.keep_freed_memory()
    machine.set_threads(form.threads, instances=form.instances)
    executable, *copies = (
        forms.open_form(form.executable, form.directory, batch_sizes=form.batch_sizes, threads=form.threads)
        for _ in range(form.instances)
    )
    samples = open_samples(inputs)
    return ServedModel(
        executable=executable,
        copies=tuple(copies),
        total=samples.total,
        load=samples.load,
        respond=inputs.task.respond,
    )

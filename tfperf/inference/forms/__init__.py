"""Compiled forms of a Keras model: built once into a directory, opened from there by whoever serves.

    build("graph-float32", model, directory, inputs=task.inputs(options), outputs=task.outputs(options))
    executable, = open_forms("graph-float32", directory, buckets=[Bucket(1), Bucket(8)], threads=2)

A form is a compiler and a precision, as in `spec.Executable`. What `build` writes holds everything that `open_form`
needs, so a process that serves neither makes the Keras model nor pays for its compilation.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import pathlib
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, get_args

from tfperf import spec
from tfperf.benchmarks.tensor import Sample, Tensor
from tfperf.errors import UsageError
from tfperf.inference.executable import Bucket, Executable

if TYPE_CHECKING:
    import keras

FORMS: tuple[str, ...] = tuple(name for name in get_args(spec.Executable) if name != "auto")
REFERENCE = "function-float32"
MOST_CALIBRATION_SAMPLES = 128  # ranges of activations hardly move after about 100; each sample takes about 0.1 s

_MODULES = {"function": "function", "xla": "function", "graph": "graph", "litert": "litert"}
_TENSORS = "tensors.json"


class Opened(Executable, Protocol):
    """An executable that can be compiled for more buckets, and copied."""

    def prepare(self, bucket: Bucket) -> None:
        """Compiles for a bucket and runs it once; it is then among `buckets`."""

    def another(self) -> Opened:
        """An executable of the same buckets that may run at the same time. It shares the weights where it can."""


def build(
    form: str,
    model: keras.Model,
    directory: pathlib.Path,
    *,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    calibration: Sequence[Sample] = (),
) -> None:
    """Writes the model in a compiled form.

    Args:
        form: one of `FORMS`.
        model: the model, which has been built.
        directory: created if it doesn't exist. The files of an earlier build are replaced.
        inputs: the model's inputs.
        outputs: the model's outputs.
        calibration: samples that int8 takes its ranges from. Other forms don't use them.

    Raises:
        UnavailableError: this machine or this model can't have the form; the message says why.
        UsageError: there is no such form.
    """
    compiler, precision = _parts(form)
    directory.mkdir(parents=True, exist_ok=True)
    _module(compiler).build(
        model,
        directory,
        precision=precision,
        inputs=inputs,
        outputs=outputs,
        calibration=calibration[:MOST_CALIBRATION_SAMPLES],
    )
    tensors = [[dataclasses.asdict(tensor) for tensor in ends] for ends in (inputs, outputs)]
    (directory / _TENSORS).write_text(json.dumps(tensors), encoding="utf-8")


def open_form(form: str, directory: pathlib.Path, *, buckets: Iterable[Bucket], threads: int) -> Opened:
    """Opens what `build` wrote, compiled for every bucket and run once at each.

    Args:
        form: the form that was built.
        directory: the directory given to `build`.
        buckets: the buckets to compile for, at least one.
        threads: CPU threads per operation. TensorFlow's forms have the threads of `machine.set_up` instead.

    Raises:
        UsageError: there is no such form.
    """
    compiler, _ = _parts(form)
    inputs, outputs = (
        tuple(_tensor(values) for values in ends)
        for ends in json.loads((directory / _TENSORS).read_text(encoding="utf-8"))
    )
    opened: Opened = _module(compiler).open_form(directory, form=form, inputs=inputs, outputs=outputs, threads=threads)
    for bucket in sorted(set(buckets)):
        opened.prepare(bucket)
    return opened


def open_forms(
    form: str, directory: pathlib.Path, *, buckets: Iterable[Bucket], threads: int, instances: int = 1
) -> tuple[Opened, ...]:
    """Like `open_form`, but several instances, which may run at the same time. They share weights where possible."""
    first = open_form(form, directory, buckets=buckets, threads=threads)
    return first, *(first.another() for _ in range(instances - 1))


def is_float32(form: str) -> bool:
    """Whether a form computes in float32 and so loses no accuracy by its precision."""
    return form.endswith("-float32")


def _tensor(values: dict[str, Any]) -> Tensor:
    return Tensor(**{**values, "shape": tuple(values["shape"])})


def _parts(form: str) -> tuple[str, str]:
    if form not in FORMS:
        raise UsageError(f"executable must be auto or one of {', '.join(FORMS)}, got {form!r}.")
    compiler, _, precision = form.partition("-")
    return compiler, precision


def _module(compiler: str) -> ModuleType:
    """Imported late: none of them works without TensorFlow."""
    return importlib.import_module(f"tfperf.inference.forms.{_MODULES[compiler]}")

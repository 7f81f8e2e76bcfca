"""A `tf.function` with variables: the plain form that all others are compared with, and the one that XLA compiles.

XLA compiles it once for each bucket, with the model's layers in the precision.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfperf.benchmarks.tensor import Sample, Tensor
from tfperf.inference.executable import Bucket
from tfperf.inference.forms import half_inputs, signature
from tfperf.inference.forms import precision as precisions
from tfperf.inference.forms.concrete import ConcreteFunctions

if TYPE_CHECKING:
    import keras


def build(
    model: keras.Model,
    directory: pathlib.Path,
    *,
    precision: str,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    calibration: Sequence[Sample],
) -> None:
    """Writes the model as a SavedModel; `calibration` is not used."""
    del calibration
    model = precisions.in_precision(model, precision)
    module = tf.Module()
    module.model_variables = [variable.value for variable in model.variables]
    module.serve = signature.serving_function(model, inputs, outputs, taken=half_inputs.taken(inputs, precision))
    tf.saved_model.save(module, str(directory / "saved_model"))


def open_form(
    directory: pathlib.Path, *, form: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], threads: int
) -> ConcreteFunctions:
    """Opens what was built. Functions are traced later."""
    module = tf.saved_model.load(str(directory / "saved_model"))
    # Calls through the module, which keeps the variables alive.
    function = tf.function(
        lambda *tensors: module.serve(*tensors), autograph=False, jit_compile=form.startswith("xla-")
    )

    taken = half_inputs.taken(inputs, form.rpartition("-")[2])

    def trace(bucket: Bucket) -> Any:
        specs = [tf.TensorSpec([bucket.batch, *tensor.at(bucket.length)], tensor.dtype) for tensor in taken]
        return function.get_concrete_function(*specs)

    return ConcreteFunctions(
        trace,
        traces=function.experimental_get_tracing_count,
        form=form,
        inputs=inputs,
        taken=taken,
        outputs=outputs,
        threads=threads,
    )

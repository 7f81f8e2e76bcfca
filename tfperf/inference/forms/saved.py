"""A model as a SavedModel with variables, which `function` and `xla` compile when they are opened."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfperf.inference.forms import precision as precisions
from tfperf.inference.forms import signature

if TYPE_CHECKING:
    import keras


def write(model: keras.Model, directory: pathlib.Path, *, precision: str) -> None:
    """Writes the model's inference in a precision; a SavedModel that is there is replaced."""
    model = precisions.in_precision(model, precision)
    module = tf.Module()
    module.model_variables = [variable.value for variable in model.variables]
    module.serve = signature.serving_function(model)
    tf.saved_model.save(module, str(directory / "saved_model"))


def read(directory: pathlib.Path) -> tuple[Any, tuple[int, ...]]:
    """The function that was written, with what keeps its variables alive, and the shape of one sample."""
    module = tf.saved_model.load(str(directory / "saved_model"))
    (concrete,) = module.serve.concrete_functions
    (inputs,) = concrete.structured_input_signature[0]
    return module, tuple(inputs.shape[1:])

"""A Keras model as one `tf.function` on named tensors, with its weights as variables or as constants."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfperf.benchmarks.tensor import Tensor
from tfperf.inference.forms import precision as precisions
from tfperf.inference.forms.machine import UnavailableError
from tfperf.inference.named_call import SignatureError, named_call

if TYPE_CHECKING:
    import keras


def serving_function(
    model: keras.Model, inputs: Sequence[Tensor], outputs: Sequence[Tensor], *, taken: Sequence[Tensor] | None = None
) -> Any:
    """A `tf.function` of any batch size and length that takes `inputs` and returns `outputs`, in this order.

    Floating-point outputs are cast to the declared type, such as float32 where the model computes in bfloat16.

    Args:
        model: the model.
        inputs: its inputs.
        outputs: its outputs.
        taken: the inputs with the types that the function takes; None takes those of the model.
    """
    taken = inputs if taken is None else taken
    try:
        call = named_call(model, inputs, outputs)
    except SignatureError as error:
        raise UnavailableError(str(error)) from error

    def serve(*tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
        declared_tensors = [tf.cast(tensor, declared.dtype) for tensor, declared in zip(tensors, inputs, strict=True)]
        given = call(declared_tensors)
        return tuple(_as_declared(tensor, declared) for tensor, declared in zip(given, outputs, strict=True))

    specs = [
        tf.TensorSpec([None, *tensor.shape], tensor.dtype, name=f"input_{place}") for place, tensor in enumerate(taken)
    ]
    return tf.function(serve, input_signature=specs, autograph=False)


def traced(
    model: keras.Model, inputs: Sequence[Tensor], outputs: Sequence[Tensor], *, taken: Sequence[Tensor] | None = None
) -> Any:
    """The concrete function in float32, of any batch size and length."""
    float32 = precisions.in_precision(model, "float32")
    return serving_function(float32, inputs, outputs, taken=taken).get_concrete_function()


def save(model: keras.Model, directory: pathlib.Path, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Writes the model in float32 as a SavedModel with one signature, for what converts files.

    It takes `input_00`, `input_01`, ... and returns `output_00`, `output_01`, ..., which sort in this order.
    """
    float32 = precisions.in_precision(model, "float32")
    serve = serving_function(float32, inputs, outputs)

    def named(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        given = serve(*(tensors[input_name(place)] for place in range(len(inputs))))
        return {f"output_{place:02d}": tensor for place, tensor in enumerate(given)}

    specs = {
        input_name(place): tf.TensorSpec([None, *tensor.shape], tensor.dtype) for place, tensor in enumerate(inputs)
    }
    module = tf.Module()
    module.model_variables = [variable.value for variable in float32.variables]
    signature = tf.function(named, autograph=False).get_concrete_function(**specs)
    tf.saved_model.save(module, str(directory), signatures=signature)


def input_name(place: int) -> str:
    """The name that `save` gives the input at a place; names sort by place."""
    return f"input_{place:02d}"


def _as_declared(tensor: tf.Tensor, declared: Tensor) -> tf.Tensor:
    return tf.cast(tensor, declared.dtype) if tensor.dtype.is_floating else tf.identity(tensor)

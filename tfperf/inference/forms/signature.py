"""A Keras model as one `tf.function` on named tensors, with its weights as variables or as constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

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


def frozen(
    model: keras.Model, inputs: Sequence[Tensor], outputs: Sequence[Tensor], *, taken: Sequence[Tensor] | None = None
) -> Any:
    """The concrete function in float32 with constants in place of variables, for what optimises or converts graphs.

    Takes 20 times the memory of the weights. Whoever calls it needs the whole graph, not a function with captures.
    """
    float32 = precisions.in_precision(model, "float32")
    concrete = serving_function(float32, inputs, outputs, taken=taken).get_concrete_function()
    return convert_to_constants.convert_variables_to_constants_v2(concrete)


def _as_declared(tensor: tf.Tensor, declared: Tensor) -> tf.Tensor:
    return tf.cast(tensor, declared.dtype) if tensor.dtype.is_floating else tf.identity(tensor)

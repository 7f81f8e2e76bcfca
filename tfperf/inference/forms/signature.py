"""What a Keras model takes and gives, as compiled forms need it: one input of known shape, one output, in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfperf.inference.forms.machine import UnavailableError

if TYPE_CHECKING:
    import keras


def sample_shape(model: keras.Model) -> tuple[int, ...]:
    """The shape of one sample.

    Raises:
        UnavailableError: the model has several inputs or outputs, or an input whose shape is not known.
    """
    inputs, outputs = model.inputs or [], model.outputs or []
    if len(inputs) != 1 or len(outputs) != 1:
        raise UnavailableError(
            f"The model must have one input and one output, got {len(inputs)} and {len(outputs)}. Wrap it in a "
            "functional keras.Model that has."
        )
    shape = tuple(inputs[0].shape[1:])
    if None in shape:
        raise UnavailableError(f"The model's input must have a known shape, got {inputs[0].shape}.")
    return shape


def serving_function(model: keras.Model) -> Any:
    """A `tf.function` from float32 [b, ...] of any b to the model's outputs in float32, as in inference."""
    spec = tf.TensorSpec([None, *sample_shape(model)], tf.float32, name="inputs")

    def serve(inputs: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(inputs, training=False), tf.float32)

    return tf.function(serve, input_signature=[spec], autograph=False)

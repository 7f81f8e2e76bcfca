"""A model that computes in another precision: each layer under another Keras dtype policy, with the same weights."""

from __future__ import annotations

from typing import Any

import keras

from tfperf.inference.forms.machine import UnavailableError

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def in_precision(model: keras.Model, precision: str) -> keras.Model:
    """The model with all layers computing in `precision`, except those that make its outputs, which stay in float32.

    Returns the model itself if it already computes in that precision. Weights stay float32 variables in any case.

    Raises:
        UnavailableError: the model is neither functional nor sequential, so its layers can't be rebuilt.
    """
    last = {tensor._keras_history.operation.name for tensor in model.outputs or []}
    if precision == "float32" and all(_computes_in(layer, "float32") for layer in model._flatten_layers()):
        return model

    def remade(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.InputLayer) or not isinstance(layer, keras.layers.Layer):
            return layer.__class__.from_config(layer.get_config())  # of an operation, dtype is that of its result
        policy = "float32" if layer.name in last else _POLICIES[precision]
        return layer.__class__.from_config({**layer.get_config(), "dtype": policy})

    try:
        clone = keras.models.clone_model(model, clone_function=remade, recursive=True)
    except ValueError as error:
        raise UnavailableError(f"The model's layers can't be rebuilt in {precision}: {error}") from error
    clone.set_weights(model.get_weights())
    return clone


def _computes_in(layer: Any, dtype: str) -> bool:
    return isinstance(layer, keras.layers.InputLayer) or getattr(layer, "compute_dtype", dtype) == dtype

"""A model whose weights are constants of its graph, for what optimises or converts graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorflow.python.framework import convert_to_constants

from tfperf.inference.forms import precision as precisions
from tfperf.inference.forms import signature

if TYPE_CHECKING:
    import keras


def freeze(model: keras.Model) -> Any:
    """The concrete function from float32 [b, ...] of any b to outputs in float32, without variables.

    Takes 20 times the memory of the weights. What calls it needs the whole graph, not a function that captures.
    """
    float32 = precisions.in_precision(model, "float32")
    concrete = signature.serving_function(float32).get_concrete_function()
    return convert_to_constants.convert_variables_to_constants_v2(concrete)

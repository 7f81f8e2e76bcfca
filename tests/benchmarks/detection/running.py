"""Runs a function of the graph, plain or compiled by XLA."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


def run(function: Callable[..., Any], *arguments: np.ndarray, xla: bool) -> Any:
    """What the function returns, as NumPy arrays."""
    results = tf.function(function, jit_compile=xla)(*map(tf.constant, arguments))
    return tf.nest.map_structure(lambda part: part.numpy(), results)

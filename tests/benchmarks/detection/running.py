"""Runs functions of the graph, plain or compiled by XLA."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


def compiled(function: Callable[..., Any], *, xla: bool) -> Callable[..., Any]:
    """The function, traced once for arguments of one shape; it takes and returns NumPy arrays."""
    traced = tf.function(function, jit_compile=xla)
    return lambda *arguments: tf.nest.map_structure(np.asarray, traced(*map(tf.constant, arguments)))


def run(function: Callable[..., Any], *arguments: np.ndarray, xla: bool) -> Any:
    """What the function returns, as NumPy arrays."""
    return compiled(function, xla=xla)(*arguments)

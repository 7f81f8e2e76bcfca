"""The message of a TensorFlow error in one line."""

from __future__ import annotations

import re

import tensorflow as tf

# The names of the failed operation, before or after the message, and of the input pipeline's step.
_GRAPH = re.compile(
    r"\{\{.*?\}\} ?| \[Op:.*|Error in user-defined function passed to \S+ transformation with iterator: \S+: "
)


def reason_of(error: tf.errors.OpError) -> str:
    """The first line of the message, without the names of operations."""
    return _GRAPH.sub("", error.message.partition("\n")[0]) or type(error).__name__

"""What a TensorFlow error says, in one line."""

from __future__ import annotations

import re

import tensorflow as tf

# The name of the operation that failed, before the message and after it, and of the input pipeline's step.
_GRAPH = re.compile(
    r"\{\{.*?\}\} ?| \[Op:.*|Error in user-defined function passed to \S+ transformation with iterator: \S+: "
)


def reason_of(error: tf.errors.OpError) -> str:
    """The first line of the message, without the names of operations."""
    return _GRAPH.sub("", error.message.partition("\n")[0]) or type(error).__name__

"""How long training waits for its input, as tf.data itself measures it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def share(iterator: Any, moments: Sequence[tuple[float, int]]) -> float | None:
    """The share of the step time that went into waiting for the next batch; None where tf.data does not tell.

    tf.data keeps the last 100 gaps between the end of a request for a batch and the next request: what the step took
    without its input. The rest of the time the step waited.

    Args:
        iterator: what the training function drew its batches from. A distributed one does not tell.
        moments: (seconds, steps so far) at the ends of the last executions of one epoch, oldest first.
    """
    if not isinstance(iterator, tf.data.Iterator):
        return None
    try:
        gaps_us = list(tf.data.experimental.get_model_proto(iterator).gap_times)
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError):  # a pipeline without autotuning has no model
        return None
    if not gaps_us or len(moments) < 2:
        return None
    ended, steps = moments[-1]
    enough = [moment for moment in moments if steps - moment[1] >= len(gaps_us)]
    since, before = enough[-1] if enough else moments[0]
    if steps == before:
        return None
    step_s = (ended - since) / (steps - before)
    counted = gaps_us[-max(1, steps - before - 1) :]  # the gap before them began in an execution that is left out
    working_s = float(sum(counted)) / len(counted) / 1e6
    return min(1.0, max(0.0, 1 - working_s / step_s))

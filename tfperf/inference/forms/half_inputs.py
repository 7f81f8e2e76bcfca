"""The inputs of a form in half precision on a GPU: kept and copied in half precision, too.

The first layers would round them anyway. Kept in float32, each sample takes twice the memory and twice the copy to the
GPU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tfperf.benchmarks.tensor import Tensor


def taken(inputs: Sequence[Tensor], precision: str) -> tuple[Tensor, ...]:
    """The inputs as the form takes them from the host.

    Args:
        inputs: the model's inputs.
        precision: as in `spec.Executable`. Only GPUs compute in float16. On a CPU nothing is copied, so bfloat16 stays
            within the form there.
    """
    halved = precision == "float16" or (precision == "bfloat16" and bool(tf.config.list_logical_devices("GPU")))
    return tuple(
        dataclasses.replace(tensor, dtype=precision) if halved and tensor.dtype == "float32" else tensor
        for tensor in inputs
    )

"""What one execution of a model computes and reads at least, and what the processor does at most."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

_SIZE = 1536  # rows of the square matrices
_COPIED = 1 << 25  # float32 numbers, more than a cache holds
_SECONDS = 0.3  # for each of the two
_LEAST = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class MachinePeak:
    """What a processor was measured to do at most.

    Attributes:
        flops_per_s: additions and multiplications in products of large float32 matrices.
        copied_bytes_per_s: bytes read and written while an array is copied with an addition.
    """

    flops_per_s: float
    copied_bytes_per_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelWork:
    """What one execution of a model computes and reads at least.

    Attributes:
        flops: additions and multiplications.
        weights_bytes: the constants of its graph, which are its weights.
        float32: whether nothing in it is computed in 16 bits.
    """

    flops: int
    weights_bytes: int
    float32: bool


def measured_peak() -> MachinePeak:
    """Measures the processor that TensorFlow takes by default here, for a second. Nothing else may be measured now."""
    import tensorflow as tf

    matrix, array = tf.random.uniform((_SIZE, _SIZE)), tf.zeros((_COPIED,))
    return MachinePeak(
        flops_per_s=2 * _SIZE**3 / _fastest_s(lambda: float(tf.matmul(matrix, matrix)[0, 0])),
        copied_bytes_per_s=2 * 4 * _COPIED / _fastest_s(lambda: float((array + 1.0)[0])),
    )


def flops(model: keras.Model) -> int | None:
    """Additions and multiplications of one sample, see `counted`. None for a model with inputs of open length."""
    import tensorflow as tf

    inputs = [tf.TensorSpec((1, *each.shape[1:]), each.dtype) for each in model.inputs]
    if any(None in each.shape for each in inputs):
        return None
    alone = type(model).__name__ == "Sequential"  # which has no `input` before it was called

    def call(*tensors: Any) -> Any:
        return model(tensors[0] if alone else tf.nest.pack_sequence_as(model.input, tensors), training=False)

    work = counted(call, inputs)
    return None if work is None else work.flops


def counted(call: Callable[..., Any], inputs: Sequence[Any]) -> ModelWork | None:
    """The work of one execution, by TensorFlow's own counts for its operations.

    Operations without a count are left out, so this is a lower bound. None if none has a count.

    Args:
        call: computes with tensors; it is traced.
        inputs: a `tf.TensorSpec` for each.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    from tensorflow.python.profiler import model_analyzer, option_builder
    from tensorflow.python.util import deprecation

    concrete = tf.function(call, autograph=False).get_concrete_function(*inputs)
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    options = option_builder.ProfileOptionBuilder(option_builder.ProfileOptionBuilder.float_operation())
    # It prints hints about its own use, and warns of functions that it calls itself.
    with contextlib.redirect_stdout(io.StringIO()), deprecation.silence():
        found = model_analyzer.profile(frozen.graph, options=options.with_empty_output().build())
    if not found.total_float_ops:
        return None
    tensors = [(operation.type, tensor) for operation in frozen.graph.get_operations() for tensor in operation.outputs]
    weights = [tensor for kind, tensor in tensors if kind == "Const" and tensor.shape.is_fully_defined()]
    return ModelWork(
        flops=int(found.total_float_ops),
        weights_bytes=sum(tensor.shape.num_elements() * tensor.dtype.size for tensor in weights),
        float32=all(tensor.dtype not in (tf.float16, tf.bfloat16) for _, tensor in tensors),
    )


def uncountable(error: Exception) -> str:
    """Why a model has no `counted` work, if counting raised this."""
    words = " ".join(str(error).split())[:200]
    return f"its operations can't be counted: {type(error).__name__}: {words}"


def _fastest_s(call: Callable[[], object]) -> float:
    """The shortest time of a call, after one that is not counted."""
    call()
    times: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(times) < _LEAST or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)

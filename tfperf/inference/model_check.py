"""Checks that a model takes and gives what its benchmark declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.benchmarks.tensor import Tensor
from tfperf.errors import UsageError
from tfperf.inference.executable import Bucket, empty_batch
from tfperf.inference.load_model import shortened
from tfperf.inference.named_call import SignatureError, inputs_by_name, named_call

if TYPE_CHECKING:
    import keras

_SAMPLES = 2
_LENGTH_HINT = (
    " If the model takes shorter samples only, set `model` in the config to the options that it was trained with."
)


def check(model: keras.Model, task: InferenceTask, options: Any) -> None:
    """Runs the model on samples of zeros and compares its inputs and outputs with the declared tensors.

    The samples have the longest of the benchmark's lengths, which a model may be too small for.

    Raises:
        UsageError: its inputs or outputs differ, or its outputs are not finite. Says which tensor, what is
            expected and what was found.
    """
    inputs, outputs = task.inputs(options), task.outputs(options)
    lengths = task.lengths_for(options)
    length = lengths[-1] if lengths else None
    batch = empty_batch(inputs, Bucket(_SAMPLES, length))
    try:
        _check_inputs(model, inputs)
        given = named_call(model, inputs, outputs)(batch)
    except SignatureError as error:
        raise UsageError(str(error)) from error
    except UsageError:
        raise
    except Exception as error:  # any at all: the model is the user's
        at = "" if length is None else f" of length {length}"
        raise UsageError(
            f"The model can't be called on {'; '.join(map(str, inputs))}{at}: {type(error).__name__}: "
            f"{shortened(error)}{_LENGTH_HINT if at else ''}"
        ) from error
    for tensor, output in zip(outputs, given, strict=True):
        _check_output(np.asarray(output), tensor, length)


def _check_inputs(model: keras.Model, inputs: Sequence[Tensor]) -> None:
    taken = inputs_by_name(model, inputs)
    if taken is None:  # a subclassed model doesn't say; calling it tells
        return
    for symbolic, tensor in zip(taken, inputs, strict=True):
        shape, dtype = tuple(symbolic.shape[1:]), str(symbolic.dtype)
        fits = len(shape) == len(tensor.shape) and all(
            size is None or size == expected for size, expected in zip(shape, tensor.shape, strict=True)
        )
        if not fits or not _takes(dtype, tensor.dtype):
            raise UsageError(
                f"Input {tensor.name}: the benchmark gives {tensor.dtype} {_shown(tensor.shape)}, the model takes "
                f"{dtype} {_shown(shape)}."
            )


def _takes(dtype: str, given: str) -> bool:
    """Whether an input of a type takes another one: any integers convert, floating-point numbers must agree."""
    return dtype == given or (np.dtype(given).kind in "iu" and dtype.startswith(("int", "uint")))


def _check_output(output: np.ndarray, tensor: Tensor, length: int | None) -> None:
    expected = tensor.at(length)
    floating = output.dtype.kind == "f" or output.dtype.name == "bfloat16"
    same_type = floating if np.dtype(tensor.dtype).kind == "f" else output.dtype == tensor.dtype
    if output.shape != (_SAMPLES, *expected) or not same_type:
        background = expected and output.shape == (_SAMPLES, *expected[:-1], expected[-1] + 1)
        hint = " The extra class is often a background class: remove it." if background else ""
        raise UsageError(
            f"Output {tensor.name}: the benchmark expects {tensor.dtype} {_shown(expected)}, the model gives "
            f"{output.dtype.name} {_shown(output.shape[1:])}.{hint}"
        )
    if floating and not np.isfinite(output.astype(np.float32)).all():
        raise UsageError(
            f"Output {tensor.name}: the model gives numbers that are not finite for samples of zeros. Use other "
            "weights."
        )


def _shown(shape: Sequence[int | None]) -> str:
    """A shape with its batch dimension."""
    sizes = ("length" if size is None else str(size) for size in shape)
    return f"[{', '.join(('n', *sizes))}]"

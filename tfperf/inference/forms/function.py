"""The plain form: a `tf.function` in float32 with variables, what all others are compared with."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import numpy as np

from tfperf.inference.forms import saved
from tfperf.inference.forms.concrete import ConcreteFunctions

if TYPE_CHECKING:
    import keras


def build(model: keras.Model, directory: pathlib.Path, *, precision: str, calibration: np.ndarray) -> None:
    """Writes the model; `calibration` is not looked at."""
    del calibration
    saved.write(model, directory, precision=precision)


def open_form(directory: pathlib.Path, *, precision: str, threads: int) -> ConcreteFunctions:
    """What was built, not yet traced."""
    return opened(directory, form=f"function-{precision}", threads=threads, jit_compile=False)


def opened(directory: pathlib.Path, *, form: str, threads: int, jit_compile: bool) -> ConcreteFunctions:
    """What was built, as this form."""
    module, shape = saved.read(directory)
    return ConcreteFunctions(
        lambda inputs: module.serve(inputs), form=form, input_shape=shape, threads=threads, jit_compile=jit_compile
    )

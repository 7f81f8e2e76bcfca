"""Compiled by XLA, once for each batch size."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import numpy as np

from tfperf.inference.forms import saved
from tfperf.inference.forms.concrete import ConcreteFunctions

if TYPE_CHECKING:
    import keras


def build(model: keras.Model, directory: pathlib.Path, *, precision: str, calibration: np.ndarray) -> None:
    """Writes the model with its layers in the precision; `calibration` is not looked at."""
    del calibration
    saved.write(model, directory, precision=precision)


def open_form(directory: pathlib.Path, *, precision: str, threads: int) -> ConcreteFunctions:
    """What was built, not yet compiled."""
    module, shape = saved.read(directory)
    return ConcreteFunctions(
        lambda inputs: module.serve(inputs),
        form=f"xla-{precision}",
        input_shape=shape,
        threads=threads,
        jit_compile=True,
    )

"""Compiled by XLA, once for each batch size; built like the plain form, with its layers in the precision."""

from __future__ import annotations

import pathlib

from tfperf.inference.forms import function
from tfperf.inference.forms.concrete import ConcreteFunctions

build = function.build


def open_form(directory: pathlib.Path, *, precision: str, threads: int) -> ConcreteFunctions:
    """What was built, not yet compiled."""
    return function.opened(directory, form=f"xla-{precision}", threads=threads, jit_compile=True)

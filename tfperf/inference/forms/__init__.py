"""Compiled forms of a Keras model: built once into a directory, opened from there by whoever serves.

    build("graph-float32", model, directory, calibration=images)
    executable = open_form("graph-float32", directory, batch_sizes=(1, 8), threads=2)

A form is a kind of compilation and a precision, as in `spec.Executable`. What `build` writes holds everything that
`open_form` needs, so that a process which serves neither makes the Keras model nor pays for its compilation.
"""

from __future__ import annotations

import importlib
import pathlib
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, get_args

from tfperf import spec
from tfperf.errors import UsageError
from tfperf.inference.executable import Executable

if TYPE_CHECKING:
    import keras
    import numpy as np

FORMS: tuple[str, ...] = tuple(name for name in get_args(spec.Executable) if name != "auto")
REFERENCE = "function-float32"

# Peak resident memory, as a multiple of the weights' bytes on top of TensorFlow's own 1 GB, of ResNet-50 (102 MB),
# rounded up: freezing copies the weights as constants through several protocol buffers, the converter once more.
_OWN_BYTES = 10**9
_COPIES = {"function": 6, "xla": 8, "graph": 28, "litert": 48}


class Opened(Executable, Protocol):
    """An executable that can be compiled for one more batch size."""

    def prepare(self, batch_size: int) -> None:
        """Compiles for a batch size and runs it once; it is then among `batch_sizes`."""


def build(form: str, model: keras.Model, directory: pathlib.Path, *, calibration: np.ndarray) -> None:
    """Writes the model in a compiled form.

    Args:
        form: one of `FORMS`.
        model: built, with one input of known shape and one output.
        directory: made when it is not there; what an earlier build left in it is replaced.
        calibration: model inputs, float32 [n, ...], that int8 takes its ranges from; other forms don't look at them.

    Raises:
        UnavailableError: this machine or this model can't have the form; the message says why.
        UsageError: there is no such form.
    """
    kind, precision = _parts(form)
    directory.mkdir(parents=True, exist_ok=True)
    _module(kind).build(model, directory, precision=precision, calibration=calibration)


def open_form(form: str, directory: pathlib.Path, *, batch_sizes: Sequence[int], threads: int) -> Opened:
    """What `build` wrote, compiled for every batch size and run once at each.

    Args:
        form: one of `FORMS`, the one that was built.
        directory: as given to `build`.
        batch_sizes: at least one.
        threads: of one operation. TensorFlow's forms have the threads of `machine.set_threads`, whatever is said here.

    Raises:
        UsageError: there is no such form.
    """
    kind, precision = _parts(form)
    opened: Opened = _module(kind).open_form(directory, precision=precision, threads=threads)
    for size in sorted(set(batch_sizes)):
        opened.prepare(size)
    return opened


def memory_needed_bytes(form: str, *, weights_bytes: int) -> int:
    """Peak resident memory, about, of a process that builds and opens the form at a small batch size."""
    return _OWN_BYTES + _COPIES[_parts(form)[0]] * weights_bytes


def _parts(form: str) -> tuple[str, str]:
    if form not in FORMS:
        raise UsageError(f"executable must be auto or one of {', '.join(FORMS)}, got {form!r}.")
    kind, _, precision = form.partition("-")
    return kind, precision


def _module(kind: str) -> ModuleType:
    """Imported late: none of them can do without TensorFlow."""
    return importlib.import_module(f"tfperf.inference.forms.{kind}")

"""What the SUT runs: a model in one compiled form."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Executable(Protocol):
    """A model in one compiled form, compiled for each batch size of `batch_sizes`.

    `run` is called from one thread at a time; `stage` may be called from another one meanwhile.

    Attributes:
        form: its name, as in `spec.Executable`.
        batch_sizes: ascending; nothing else may be staged.
        input_shape: the shape of one sample.
        input_dtype: of what the sample library keeps.
        threads: of one operation.
    """

    form: str
    batch_sizes: tuple[int, ...]
    input_shape: tuple[int, ...]
    input_dtype: np.dtype[Any]
    threads: int

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """Preprocessed samples, float32 [n, ...], as the library keeps them: the same shape in `input_dtype`."""

    def stage(self, inputs: np.ndarray) -> Any:
        """Encoded samples [b, ...], b one of `batch_sizes`, as `run` takes them.

        The result may share the memory of `inputs`, which must stay as they are until `run` has returned.
        """

    def run(self, staged: Any) -> np.ndarray:
        """The model's outputs, float32 [b, ...], in host memory when this returns, and the caller's to keep."""

    def traces(self) -> int:
        """Tracings and compilations so far; must not rise once every batch size was run."""

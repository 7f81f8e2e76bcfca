"""The sample library: the samples that LoadGen asked for, encoded and in memory before the clock runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfperf.errors import TfperfError
from tfperf.inference.job import Served
from tfperf.inference.recording import Recording
from tfperf.system import memory

BLOCK = 32  # samples read at once: 19 MB of float32 at 224 x 224
_SHARE_OF_MEMORY = 0.9


class SampleLibrary:
    """Samples as the executable takes them, by their number in the data set.

    Attributes:
        inputs: encoded samples, [loaded, ...] in the executable's dtype; empty before `load`.
        rows: the row in `inputs` of each sample of the set, intp [total]; -1 where it is not loaded.
        staged: the staged input of each sample of the set, None where it is not loaded; empty unless `keep_staged`
            was called.
    """

    def __init__(self, served: Served, recording: Recording) -> None:
        self.inputs = self._allocated(served, 0)
        self.rows = np.full(served.total, -1, np.intp)
        self.staged: list[Any] = []
        self._served, self._recording = served, recording
        self._staged_size = 0

    def keep_staged(self, batch_size: int) -> None:
        """From the next `load` on, keeps each sample staged too, padded to `batch_size` with itself."""
        self._staged_size = batch_size
        self.staged = [None] * self._served.total

    def load(self, indices: Sequence[int]) -> None:
        """Reads, encodes and, where asked, stages the samples; counts them in the recording.

        Raises:
            TfperfError: they do not fit into memory.
            ValueError: fewer or other samples were read than asked for.
        """
        self._check_memory(len(indices))
        head, encode = self._recording.head, self._served.executable.encode
        head[Recording.loaded_word], head[Recording.to_load_word] = 0, len(indices)
        self.inputs = self._allocated(self._served, len(indices))
        for start in range(0, len(indices), BLOCK):
            block = indices[start : start + BLOCK]
            self.inputs[start : start + len(block)] = encode(self._read(block))
            self.rows[np.asarray(block)] = np.arange(start, start + len(block))
            if self._staged_size:
                self._stage(block, start)
            head[Recording.loaded_word] = start + len(block)

    def unload(self, indices: Sequence[int]) -> None:
        """Frees the samples' memory once none is left; LoadGen unloads what it loaded at once."""
        self.rows[np.asarray(indices)] = -1
        if self._staged_size:
            for index in indices:
                self.staged[index] = None
        if (self.rows < 0).all():
            self.inputs = self._allocated(self._served, 0)

    def rows_of(self, indices: Sequence[int]) -> np.ndarray:
        """The rows in `inputs` of these samples, intp [n].

        Raises:
            ValueError: one is not loaded.
        """
        rows: np.ndarray = self.rows[np.asarray(indices)]
        if rows.min() < 0:
            missing = [index for index, row in zip(indices, rows, strict=True) if row < 0]
            raise ValueError(f"{len(missing)} of {len(rows)} samples are not loaded, sample {missing[0]} first.")
        return rows

    def _read(self, block: Sequence[int]) -> np.ndarray:
        samples = self._served.load(block)
        expected = (len(block), *self._served.executable.input_shape)
        if samples.shape != expected:
            raise ValueError(
                f"Loading {len(block)} samples must give an array of shape {expected}, got {samples.shape}. "
                "Look at the benchmark's `open_samples` and at the model's input shape."
            )
        return samples

    def _stage(self, block: Sequence[int], start: int) -> None:
        stage, size = self._served.executable.stage, self._staged_size
        for row, index in enumerate(block, start):
            one = self.inputs[row : row + 1]
            self.staged[index] = stage(one if size == 1 else np.repeat(one, size, axis=0))

    def _check_memory(self, samples: int) -> None:
        available = memory.available_bytes()
        sample_bytes = self._served.executable.input_dtype.itemsize * math.prod(self._served.executable.input_shape)
        needed = samples * sample_bytes * (1 + self._staged_size)  # staging may copy
        if available is not None and needed > _SHARE_OF_MEMORY * available:
            raise TfperfError(
                f"{samples} samples of {sample_bytes / 1e6:.2f} MB need {needed / 1e9:.1f} GB of memory, and "
                f"{available / 1e9:.1f} GB are available. Free memory, or load fewer with performance_samples."
            )

    @staticmethod
    def _allocated(served: Served, samples: int) -> np.ndarray:
        return np.empty((samples, *served.executable.input_shape), served.executable.input_dtype)

"""Models that compute nothing, sound and faulty, for processes that know this checkout. They need no TensorFlow.

A child process gets the `sys.path` of its parent, and with it the root of the checkout, so that it can import this
module by the name that it has here.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfperf.benchmarks.tensor import Batch, Sample, Tensor
from tfperf.inference.executable import Bucket
from tfperf.inference.job import ServedModel

TOTAL = 40


@dataclasses.dataclass(kw_only=True)
class Null:
    """An executable whose output is the first number of each sample.

    From the `after`-th run on that follows LoadGen's loading of samples, its outputs go through `breaks`.
    """

    form: str = "null"
    inputs: tuple[Tensor, ...] = (Tensor(name="numbers", shape=(2,)),)
    outputs: tuple[Tensor, ...] = (Tensor(name="first", shape=(1,)),)
    buckets: tuple[Bucket, ...] = tuple(map(Bucket, (1, 2, 4, 8)))
    encoded: tuple[np.dtype[Any], ...] = (np.dtype(np.float32),)
    threads: int = 1
    host_memory: bool = True
    after: int = 0
    breaks: Callable[[np.ndarray], np.ndarray] = lambda outputs: outputs
    sleep_s: float = 0.0
    runs: int = 0
    loads: int = 0

    @property
    def loaded(self) -> bool:
        """Whether LoadGen has loaded samples; the warm-up loads some first."""
        return self.loads > 1

    def load(self, indices: Sequence[int]) -> list[Sample]:
        self.runs, self.loads = 0, self.loads + 1
        return [(np.full(2, index, np.float32),) for index in indices]

    def encode(self, batch: Batch) -> Batch:
        return batch

    def stage(self, batch: Batch) -> Batch:
        return batch

    def run(self, staged: Batch) -> Batch:
        self.runs += 1
        if self.sleep_s:
            time.sleep(self.sleep_s)
        outputs = np.array(staged[0][:, :1])
        return (self.breaks(outputs) if self.runs >= self.after and self.loaded else outputs,)

    def traces(self) -> int:
        return int(self.form == "retracing" and self.loaded and self.runs > self.after)


def served(**executable: Any) -> ServedModel:
    null = Null(**executable)
    return ServedModel(
        executable=null, total=TOTAL, load=null.load, respond=respond, processor=("cpu", "a machine for nothing")
    )


def respond(outputs: Batch, indices: Sequence[int]) -> np.ndarray:
    assert len(indices) == len(outputs[0])
    if not np.isfinite(outputs[0]).all():
        raise ValueError("the model's output is not finite")
    return outputs[0]


def served_with_note(path: pathlib.Path) -> ServedModel:
    """Writes what the process is like, in one step."""
    heavy = {"tensorflow", "keras"} & sys.modules.keys()
    partial = path.with_suffix(".partial")
    partial.write_text(f"{os.getpid()} {os.environ.get('TFPERF_NOTE')} {sorted(heavy)}")
    partial.rename(path)
    print("opened")
    return served(sleep_s=1e-4)


def served_without_samples() -> ServedModel:
    return dataclasses.replace(served(), load=refuse)


def refuse(indices: Sequence[int]) -> list[Sample]:
    raise OSError("sample 3 is not on this disk")


def cannot_open() -> ServedModel:
    raise RuntimeError("the weights are gone")


def never_opens() -> ServedModel:
    threading.Event().wait()
    return served()


def raises(outputs: np.ndarray) -> np.ndarray:
    raise RuntimeError("the model broke")


def not_finite(outputs: np.ndarray) -> np.ndarray:
    return outputs * np.nan


def loses_rows(outputs: np.ndarray) -> np.ndarray:
    return outputs[:-1]


def blocks(outputs: np.ndarray) -> np.ndarray:
    threading.Event().wait()
    return outputs


def computes_for_long_once(outputs: np.ndarray) -> np.ndarray:
    end = time.perf_counter() + (0 if _TOOK_LONG else _LONG_S)
    while time.perf_counter() < end:
        pass
    _TOOK_LONG.append(True)
    return outputs


def is_killed(outputs: np.ndarray) -> np.ndarray:
    os.kill(os.getpid(), signal.SIGKILL)
    return outputs


def forks_and_is_killed(outputs: np.ndarray) -> np.ndarray:
    """Leaves a process that never ends, with all that this one has open."""
    if not os.fork():
        threading.Event().wait()
    return is_killed(outputs)


def crashes(outputs: np.ndarray) -> np.ndarray:
    ctypes.string_at(0)
    return outputs


def leaks(outputs: np.ndarray) -> np.ndarray:
    _LEAKED.append(b"x" * 2**20)
    time.sleep(0.002)
    return outputs


_LEAKED: list[bytes] = []
_TOOK_LONG: list[bool] = []
_LONG_S = 3.0

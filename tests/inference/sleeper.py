"""An executable that takes a given time and computes nothing."""

import time
from typing import Any

import numpy as np

from tfperf.benchmarks.tensor import Batch, Tensor
from tfperf.inference.executable import Bucket


class Sleeper:
    """An executable whose outputs are its inputs, after a time."""

    form = "sleeper"
    threads = 1
    host_memory = True
    encoded: tuple[np.dtype[Any], ...] = (np.dtype(np.float32),)
    inputs: tuple[Tensor, ...] = (Tensor(name="features", shape=(2,)),)
    outputs: tuple[Tensor, ...] = (Tensor(name="features", shape=(2,)),)

    def __init__(self, per_sample_s: float) -> None:
        self.buckets: tuple[Bucket, ...] = ()
        self.runs = 0
        self._per_sample_s = per_sample_s

    def prepare(self, bucket: Bucket) -> None:
        self.buckets += (bucket,)

    def another(self) -> "Sleeper":
        return self

    def encode(self, batch: Batch) -> Batch:
        return batch

    def stage(self, batch: Batch) -> Batch:
        return batch

    def run(self, staged: Batch) -> Batch:
        time.sleep(self._per_sample_s * staged[0].size / 2)
        self.runs += 1
        return (staged[0].copy(),)

    def traces(self) -> int:
        return 0

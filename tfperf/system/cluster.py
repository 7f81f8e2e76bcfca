"""The workers of a run: who takes part, whether all run the same thing, and what they send to each other."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfperf.errors import TfperfError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """The workers of a run. Worker 0 is the chief: it alone writes the run directory."""

    workers: int = 1
    index: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this process writes logs and results."""
        return self.index == 0


def from_environment() -> Cluster:
    """The cluster that TF_CONFIG describes; one worker without TF_CONFIG.

    Raises:
        UsageError: TensorFlow does not accept TF_CONFIG.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return Cluster()
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        index = int(task["index"])
        if task["type"] != "worker" or not 0 <= index < len(workers):
            raise ValueError(f"task {task} is not one of {len(workers)} workers")
    except (KeyError, TypeError, ValueError) as error:
        accepted = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        raise UsageError(f"TF_CONFIG must look like {accepted}, got {text} ({error}).") from error
    return Cluster(workers=len(workers), index=index)


def preflight(cluster: Cluster, strategy: tf.distribute.Strategy, *, facts: Mapping[str, str]) -> None:
    """Checks that all workers agree on `facts` and that they can communicate.

    Args:
        cluster: who takes part.
        strategy: the strategy of the run.
        facts: what must be equal on all workers, such as the config, versions and the data's fingerprint.

    Raises:
        TfperfError: workers differ. Names the workers and the facts.
    """
    import tensorflow as tf

    if cluster.workers == 1:
        return
    digests = tf.constant([[_digest(value) for value in facts.values()]], tf.int64)
    per_worker = _from_workers(cluster, strategy, digests)
    different = [
        f"{name}: workers {[int(i) for i in (per_worker[:, column] != per_worker[0, column]).nonzero()[0]]}"
        for column, name in enumerate(facts)
        if (per_worker[:, column] != per_worker[0, column]).any()
    ]
    if different:
        raise TfperfError(f"Not all workers run the same thing. They differ from worker 0 in {'; '.join(different)}.")


def gather(cluster: Cluster, strategy: tf.distribute.Strategy, data: bytes) -> tuple[bytes, ...]:
    """Sends this worker's bytes to all workers; returns the bytes of each, in the order of the workers."""
    import numpy as np
    import tensorflow as tf

    if cluster.workers == 1:
        return (data,)
    sizes = _from_workers(cluster, strategy, tf.constant([[len(data)]], tf.int64))[:, 0]
    padded = data.ljust(8 * max(1, -(-int(sizes.max()) // 8)), b"\0")  # collectives carry numbers
    words = _from_workers(cluster, strategy, tf.constant(np.frombuffer(padded, "<i8")[np.newaxis]))
    return tuple(row.astype("<i8").tobytes()[:size] for row, size in zip(words, sizes, strict=True))


def _from_workers(cluster: Cluster, strategy: tf.distribute.Strategy, row: tf.Tensor) -> np.ndarray:
    """The row [1, n] of each worker, as [workers, n]."""
    import tensorflow as tf

    gathered = strategy.gather(strategy.run(lambda: tf.identity(row)), axis=0).numpy()
    found: np.ndarray = gathered[:: len(gathered) // cluster.workers]
    return found


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")

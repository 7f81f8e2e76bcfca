"""The workers of a run: who takes part, and what their scorers send to each other."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfperf.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%a-z]+\]|[^\s:\[\]/]+):([0-9]{1,5})", re.ASCII)
_ACCEPTED = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """The workers of a run. Worker 0 is the chief: it alone writes the run directory.

    Attributes:
        addresses: the `host:port` of each worker, in order; empty for a run of one process.
        index: the number of this worker.
        has_chief_job: whether TF_CONFIG calls worker 0 `chief`, and worker 1 worker 0.
    """

    addresses: tuple[str, ...] = ()
    index: int = 0
    has_chief_job: bool = False

    @property
    def workers(self) -> int:
        """The number of workers."""
        return max(1, len(self.addresses))

    @property
    def is_chief(self) -> bool:
        """Whether this process writes logs and results."""
        return self.index == 0

    def name(self, index: int) -> str:
        """A worker's number and address, for messages."""
        return f"worker {index} ({self.addresses[index]})"


def from_environment() -> Cluster:
    """The cluster that TF_CONFIG describes; one worker without TF_CONFIG.

    A `chief` is worker 0, and the workers follow it, as TensorFlow counts them.

    Raises:
        UsageError: TF_CONFIG describes no cluster of workers.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return Cluster()
    try:
        return _parsed(json.loads(text))
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        missing = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"TF_CONFIG must look like {_ACCEPTED}, got {text} ({missing}).") from error


def _parsed(config: Any) -> Cluster:
    _require_object(config, "TF_CONFIG")
    cluster, task = config["cluster"], config["task"]
    _require_object(cluster, "cluster")
    _require_object(task, "task")
    unknown = sorted(set(cluster) - {"chief", "worker"})
    if unknown:
        raise ValueError(f"cluster names {', '.join(unknown)}, only workers and a chief take part")
    chiefs, workers = (_addresses(cluster.get(job, []), job=job) for job in ("chief", "worker"))
    if len(chiefs) > 1:
        raise ValueError(f"chief has {len(chiefs)} addresses, one is accepted")
    if not chiefs and not workers:
        raise KeyError("worker")
    addresses = (*chiefs, *workers)
    repeated = sorted({address for address in addresses if addresses.count(address) > 1})
    if repeated:
        raise ValueError(f"{', '.join(repeated)} stands for more than one worker")
    kind, index = task["type"], task["index"]
    if isinstance(index, str) and re.fullmatch("[0-9]{1,6}", index, re.ASCII):  # as TensorFlow accepts it
        index = int(index)
    if isinstance(index, bool) or not isinstance(index, int):
        raise ValueError(f"the task's index must be a number, got {json.dumps(index)}")
    members = {"chief": len(chiefs), "worker": len(workers)}
    if not isinstance(kind, str) or not 0 <= index < members.get(kind, 0):
        raise ValueError(f"task {json.dumps(task)} is not one of {len(addresses)} workers")
    first = len(chiefs) if kind == "worker" else 0
    return Cluster(addresses=addresses, index=first + index, has_chief_job=bool(chiefs))


def _require_object(value: Any, what: str) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} must be an object, got {json.dumps(value)}")


def _addresses(value: Any, *, job: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f'{job} must be a list of "host:port", got {json.dumps(value)}')
    for address in value:
        found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if found is None or not 0 < int(found[2]) < 65536:
            raise ValueError(f'{job} must be a list of "host:port", got {json.dumps(address)} in it')
    return tuple(value)


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

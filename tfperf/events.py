"""What happens during a run, as values that any number of sinks receive in order."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened.

    `key` is an MLLOG key if MLPerf has one (`run_start`, `eval_accuracy`, `global_batch_size`). A key that ends in
    `_start` or `_stop` opens or closes an interval. `value` and `metadata` hold plain Python values only.

    Attributes:
        key: the name of the event.
        time_s: seconds since the Unix epoch.
        value: str, bool, int, float, None, or a list or dict of them.
        metadata: more about the event, such as `{"epoch_num": 3}`.
    """

    key: str
    time_s: float = dataclasses.field(default_factory=time.time)
    value: Any = None
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Sink(Protocol):
    """Where events go: an MLLOG file, TensorBoard, a progress line."""

    def emit(self, event: Event) -> None:
        """Receives one event. It is called in the training loop and must not wait for a device."""

    def flush(self) -> None:
        """Makes everything emitted so far durable. It is called after each evaluation."""

    def close(self) -> None:
        """Flushes and closes the file. Nothing is emitted afterwards."""


@dataclasses.dataclass(frozen=True)
class Fanout:
    """A sink that passes every event to each of `sinks`, in order."""

    sinks: Sequence[Sink]

    def emit(self, event: Event) -> None:
        """Passes the event to every sink."""
        for sink in self.sinks:
            sink.emit(event)

    def flush(self) -> None:
        """Flushes every sink."""
        for sink in self.sinks:
            sink.flush()

    def close(self) -> None:
        """Closes every sink, even if an earlier one fails, and raises the first failure."""
        failure: Exception | None = None
        for sink in self.sinks:
            try:
                sink.close()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

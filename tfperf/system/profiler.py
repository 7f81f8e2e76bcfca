"""TensorFlow's profiler: what ran, operation by operation, in files that TensorBoard's profile plugin opens."""

from __future__ import annotations

import contextlib
import pathlib
import time
from collections.abc import Iterator
from types import TracebackType

import tensorflow as tf

STEPS = 5


class Profile:
    """A profile of what runs between `start` and `stop`, or in a `with`. A profiler that fails stops nothing else.

    TensorFlow takes one profile at a time in a process.

    Args:
        run_dir: gets `plugins/profile/<time>/<host>.xplane.pb`.

    Attributes:
        running: whether it is being taken.
        failure: a message that says why there is no profile; None if nothing failed.
        overhead_s: seconds that the profiler took to start, and to end and write the file.
    """

    def __init__(self, run_dir: pathlib.Path) -> None:
        self.running = False
        self.failure: str | None = None
        self.overhead_s = 0.0
        self._run_dir = run_dir

    def start(self) -> None:
        """Starts it; where another profile is being taken, that is its `failure`."""
        with self._told():
            tf.profiler.experimental.start(str(self._run_dir))
            self.running = True

    def stop(self) -> None:
        """Ends it and writes the file; does nothing when it is not being taken."""
        if self.running:
            self.running = False
            with self._told():
                tf.profiler.experimental.stop()

    def __enter__(self) -> Profile:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Keeps a failure of the profiler as words, and adds up the time."""
        since = time.perf_counter()
        try:
            yield
        except tf.errors.OpError as error:
            self.failure = f"TensorFlow's profiler failed: {error.message.rstrip('.')}"
        self.overhead_s += time.perf_counter() - since


def step(name: str, number: int) -> contextlib.AbstractContextManager[object]:
    """Marks a step in the profile that is being taken, if there is one; the plugin divides the time by these marks.

    Args:
        name: the name of the step, such as `train`.
        number: the number of the step, from 0.
    """
    mark: contextlib.AbstractContextManager[object] = tf.profiler.experimental.Trace(name, step_num=number, _r=1)
    return mark

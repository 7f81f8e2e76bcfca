"""Profiles a few training steps: on synthetic batches before the clock starts, or within the run."""

from __future__ import annotations

import contextlib
import math
import pathlib

import keras
import tensorflow as tf

from tfperf.system import profiler
from tfperf.training import loop
from tfperf.training import session as sessions
from tfperf.training.program import Program, restored
from tfperf.training.session import Session

_STEADY_AFTER_STEPS = 10  # until then the input pipeline fills its buffers


def on_synthetic_batches(session: Session, built: Program, run_dir: pathlib.Path | None) -> str:
    """Profiles steps on synthetic batches, before the clock starts, and restores every variable bit for bit.

    Every worker takes part in the steps. Call it after `warm_up`, so that nothing is compiled in them.

    Args:
        session: the parts of the training run.
        built: the compiled program.
        run_dir: gets the profile; None on workers that write nothing.

    Returns:
        A note for the reader of the result.
    """
    training, _ = sessions.inputs(session, transform=loop.synthetic)
    batches = iter(training)
    profile = None if run_dir is None else profiler.Profile(run_dir)
    with restored(built):
        built.train(batches, tf.constant(1))  # opens the iterator
        with contextlib.nullcontext() if profile is None else profile:
            for number in range(profiler.STEPS):
                with profiler.step("train", number):
                    built.train(batches, tf.constant(1)).numpy()
    if profile is not None and profile.failure:
        return f"There is no profile: {profile.failure}."
    return (
        f"{profiler.STEPS} steps on synthetic batches were profiled before the clock started: the profile does not "
        "show the input pipeline."
    )


def window(*, steps_per_epoch: int, steps_per_execution: int) -> range:
    """The steps of the first epoch, from 0, that are profiled within a run.

    These are whole executions of at least 5 steps together, from the first one that begins after 10 steps. In a shorter
    epoch they are the last ones.
    """
    executions = math.ceil(steps_per_epoch / steps_per_execution)
    profiled = math.ceil(profiler.STEPS / steps_per_execution)
    first = min(math.ceil(_STEADY_AFTER_STEPS / steps_per_execution), max(executions - profiled, 0))
    last = min(first + profiled, executions)
    return range(first * steps_per_execution, min(last * steps_per_execution, steps_per_epoch))


class ProfiledSteps(keras.callbacks.Callback):  # type: ignore[misc]
    """Profiles a few steps of the first epoch within the timed region. Close it when the run has ended.

    Args:
        run_dir: gets the profile.
        steps_per_epoch: optimizer steps in an epoch.
        steps_per_execution: steps per host callback.
    """

    def __init__(self, run_dir: pathlib.Path, *, steps_per_epoch: int, steps_per_execution: int) -> None:
        super().__init__()
        self._steps = window(steps_per_epoch=steps_per_epoch, steps_per_execution=steps_per_execution)
        self._profile = profiler.Profile(run_dir)
        self._mark = contextlib.ExitStack()
        self._begun = False
        self._last = 0

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the profiler before the first of the steps, and marks each execution."""
        if batch == self._steps.start and not self._begun:
            self._begun = True
            self._profile.start()
        if self._profile.running:
            self._last = batch + 1
            self._mark.enter_context(profiler.step("train", batch))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the profile after the last of the steps."""
        if self._profile.running:
            self._mark.close()
            self._last = batch + 1
            if self._last >= self._steps.stop:
                self._profile.stop()

    def close(self) -> None:
        """Writes the profile of a run that ended within the profiled steps."""
        self._mark.close()
        self._profile.stop()

    @property
    def note(self) -> str:
        """A note for the reader of the result. Call `close` first."""
        if not self._begun:
            return f"There is no profile: the run ended before step {self._steps.start + 1}, where it was due to start."
        cost = f"took {self._profile.overhead_s:.2f} s of the timed region"
        if self._profile.failure:
            return f"There is no profile: {self._profile.failure}. Trying {cost}."
        return (
            f"The profiler ran within the timed region, in steps {self._steps.start + 1} to {self._last}: they may be "
            f"slower than others, and starting it and writing the profile {cost}."
        )

"""When the rules of the named benchmark want evaluations in a loop that decides about them itself."""

from __future__ import annotations

from collections.abc import Iterator

from tfperf.callback.run_directory import RunIdentity
from tfperf.training import plan
from tfperf.training.meter import Meter


def block(meter: Meter, identity: RunIdentity, *, global_batch_size: int) -> int:
    """The length of a block that begins now, for the log: the samples to the next evaluation by the rules, or 1 epoch.

    Args:
        meter: the clock.
        identity: what is trained.
        global_batch_size: examples in an update of the weights.
    """
    every = _every_samples(identity, global_batch_size=global_batch_size)
    if every is None:
        return 1
    return plan.samples_to_evaluation(meter.position, every_samples=every, batch_size=global_batch_size)


def broken(meter: Meter, identity: RunIdentity, *, global_batch_size: int) -> Iterator[str]:
    """The first evaluation that was not when the rules of a benchmark that counts samples want it."""
    every = _every_samples(identity, global_batch_size=global_batch_size)
    if every is None:
        return
    for number, samples in enumerate(meter.evaluated_at, 1):
        if not 0 <= samples - number * every < global_batch_size:
            yield (
                f"Evaluation {number} was after {samples:,} samples; at batch size {global_batch_size:,} one is due "
                f"after each {every:,} (training_rules.adoc)."
            )
            return


def _every_samples(identity: RunIdentity, *, global_batch_size: int) -> int | None:
    """The samples between two evaluations; None for a benchmark that counts epochs."""
    interval = None if identity.task is None else identity.task.evaluation_interval
    if identity.unit != "samples" or interval is None:
        return None
    return interval if isinstance(interval, int) else interval(global_batch_size)

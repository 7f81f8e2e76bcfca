"""The result of training driven by an external loop, with everything that a reader must know about it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from tfperf import benchmarks, result
from tfperf.benchmarks.benchmark import TrainingTask
from tfperf.callback import cadence
from tfperf.callback.run_directory import RunIdentity
from tfperf.compliance import rules
from tfperf.reporting import table
from tfperf.training import pace
from tfperf.training.meter import Meter

_UNSEEN = "The model, its data and its optimizer are the caller's: tfperf can't check whether they follow the rules."


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known about a run besides its clock.

    Attributes:
        started_by_hand: whether the caller started the clock.
        continued: a sentence about training before the clock started; None if there was none.
        failure: why the run ended early; None if it did not.
        train_examples: examples in an epoch; None if unknown.
        eval_examples: examples in an evaluation; None if unknown.
        global_batch_size: examples in an update of the weights; 0 if unknown.
        input_share: the share of the step time spent waiting for input, by epoch; empty if unknown.
        memory_peak_bytes: the peak memory use of one device; None if unknown.
        notes: further notes for a reader of the result.
    """

    started_by_hand: bool = False
    continued: str | None = None
    failure: str | None = None
    train_examples: int | None = None
    eval_examples: int | None = None
    global_batch_size: int = 0
    input_share: tuple[float, ...] = ()
    memory_peak_bytes: int | None = None
    notes: tuple[str, ...] = ()


def of(
    meter: Meter, identity: RunIdentity, *, facts: RunFacts, config: Mapping[str, Any], environment: Mapping[str, Any]
) -> result.TrainResult:
    """The result of a run that ended."""
    reasons = tuple(_reasons(meter, facts))
    goal, valid = meter.goal, not reasons
    in_samples = meter.unit == "samples"
    return result.TrainResult(
        benchmark=identity.name,
        division=str(identity.division),
        valid=valid,
        reasons=reasons,
        closed_eligible=False,
        closed_ineligible_because=tuple(_ineligible(meter, identity, facts)),
        status="success" if meter.reached else "aborted",
        config=config,
        environment=environment,
        time_to_train_s=meter.run_s if meter.reached else None,
        run_s=meter.run_s,
        quality=result.Quality(
            metric=goal.metric or "quality",
            value=meter.quality if meter.quality is not None and math.isfinite(meter.quality) else None,
            target=goal.target,
            reached=meter.reached,
            mode="min" if goal.mode == "min" else "max",
        ),
        epochs=meter.position // facts.train_examples if in_samples and facts.train_examples else len(meter.epochs),
        samples=meter.position if in_samples else None,
        examples_per_s=pace.examples_per_s(meter.epochs),
        measurements=tuple(_measurements(meter, facts)),
        notes=(*_about_speed(meter), *facts.notes),
    )


def continued(*, updates: int, epoch: int = 0) -> str | None:
    """A sentence about training before the clock started; None if there was none.

    Args:
        updates: those that the optimizer had made.
        epoch: Keras's number of the first epoch of the run, from 0.
    """
    if epoch:
        return f"training continued from epoch {epoch}: the training before it is not on the clock"
    if updates:
        return f"the model had already been trained for {_counted(updates, 'step')} when the clock started"
    return None


def missed(meter: Meter) -> str:
    """Why a run that finished did not reach a target."""
    goal = meter.goal
    if goal.target is None:
        return result.TIMED_ONLY
    if meter.quality is None:
        return f"{result.MISSED}: no evaluation was made"
    at = table.decimals(meter.quality, beside=goal.target)
    at_most = " at most" if goal.mode == "min" else ""
    trained = _counted(meter.position, "sample") if meter.unit == "samples" else _counted(len(meter.epochs), "epoch")
    found = f"{goal.metric} {at} after {trained}"
    return f"{result.MISSED}: {found}, the target is{at_most} {goal.target:g}"


def _reasons(meter: Meter, facts: RunFacts) -> Iterator[str]:
    if facts.continued:
        yield facts.continued
    if facts.failure:
        yield facts.failure
    elif not meter.reached:
        yield missed(meter)


def _ineligible(meter: Meter, identity: RunIdentity, facts: RunFacts) -> Iterator[str]:
    benchmark = identity.benchmark
    if benchmark is not None and benchmarks.is_mlperf(benchmark):
        yield _UNSEEN
        yield from _by_rules(benchmarks.training_task(benchmark), facts)
        yield from cadence.broken(meter, identity, global_batch_size=facts.global_batch_size)
        return
    if benchmark is None:
        yield "No benchmark was named, so there are no rules to check the run against."
    else:
        yield f"{benchmark.name} is not an MLPerf benchmark and can't run closed."
    if not facts.started_by_hand:
        yield "The clock may have started after data was read; call start() before that."


def _by_rules(task: TrainingTask, facts: RunFacts) -> Iterator[str]:
    counts = (
        ("training", facts.train_examples, task.train_examples),
        ("evaluation", facts.eval_examples, task.eval_examples),
    )
    for name, found, expected in counts:
        if found is None and expected is not None:
            yield f"The number of examples in the {name} set is unknown; the benchmark's has {expected}."
    yield from rules.ineligibilities(
        task,
        cache_cleared=False,
        # Unknown counts have their own sentence.
        train_examples=facts.train_examples or task.train_examples or 0,
        eval_examples=facts.eval_examples or task.eval_examples or 0,
        init_s=0.0,
        resumed=facts.continued is not None,
        clock_started_by_hand=facts.started_by_hand,
    )


def _measurements(meter: Meter, facts: RunFacts) -> Iterator[result.Measurement]:
    for percent, step_ms in meter.step_times.percentiles_ms().items():
        yield result.Measurement(name=f"step time p{percent}", value=step_ms, unit="ms")
    if meter.step_times.first_s is not None:
        yield result.Measurement(name="first execution", value=meter.step_times.first_s, unit="s")
    yield result.Measurement(name="training", value=meter.training_s, unit="s")
    yield result.Measurement(name="evaluation", value=meter.evaluation_s, unit="s")
    if facts.input_share:
        share = sum(facts.input_share) / len(facts.input_share)
        yield result.Measurement(name="waiting for input", value=100 * share, unit="% of the step time")
    if facts.memory_peak_bytes is not None:
        yield result.Measurement(name="device memory peak", value=facts.memory_peak_bytes / 2**20, unit="MiB")
    spread = pace.slowest_to_fastest(meter.epochs)
    if spread is not None:
        yield result.Measurement(name="slowest / fastest epoch", value=spread, unit="times")


def _about_speed(meter: Meter) -> Iterator[str]:
    varied = pace.variation(meter.epochs)
    if varied is not None:
        yield varied
    if meter.step_times.most_steps > 1:
        yield f"Step times are means over executions of up to {meter.step_times.most_steps} steps."


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

"""The result of a training run, from its meter and from how it ended."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from tfperf import benchmarks, config, result
from tfperf.compliance import rules
from tfperf.reporting import table
from tfperf.run.prepared import PreparedRun
from tfperf.system import assembly
from tfperf.training.meter import Meter

# Why a run ended without a step.
_ALREADY_REACHED = "the target was reached before the first step, so nothing was trained"


def of(
    run: PreparedRun,
    meter: Meter,
    *,
    failure: BaseException | None,
    cleared: bool,
    skipped: tuple[str, ...],
    costs: tuple[result.Measurement, ...],
    notes: tuple[str, ...],
) -> result.TrainResult:
    """The result of a run that has ended.

    Args:
        run: the run.
        meter: its clock, stopped.
        failure: what ended the run before its plan did; None if nothing.
        cleared: whether the file caches of all hosts were emptied before the run.
        skipped: the corrupt examples that were left out.
        costs: what the evaluations cost besides the predictions: `scoring` is part of the evaluation.
        notes: remarks for the reader of the result.
    """
    reasons = _reasons(run, meter, failure=failure, skipped=skipped)
    valid = not reasons
    rulings = _broken_rules(run, meter, cleared=cleared)
    return result.TrainResult(
        benchmark=run.benchmark.name,
        division=str(run.session.spec.division),
        valid=valid,
        reasons=reasons,
        closed_eligible=valid and not rulings,
        closed_ineligible_because=rulings,
        status="success" if meter.reached else "aborted",
        config=config.as_dict(run.session.spec),
        environment=run.environment,
        time_to_train_s=meter.run_s if meter.reached else None,
        run_s=meter.run_s,
        quality=result.Quality(
            metric=run.target.metric, value=_finite(meter.quality), target=run.target.value, reached=meter.reached
        ),
        untrained_quality=_finite(meter.untrained_quality),
        epochs=_epochs(run, meter),
        samples=meter.position if meter.unit == "samples" else None,
        examples_per_s=(meter.examples or 0) / meter.training_s if meter.training_s else None,
        skipped_examples=skipped,
        measurements=(*_measurements(meter), *costs, *_scoring_share(meter, costs)),
        notes=notes,
    )


def ended(run: PreparedRun, meter: Meter) -> str:
    """Why training ended without reaching the target, for the log."""
    if _already_reached(meter):
        return _ALREADY_REACHED
    spec = run.session.spec
    length = f"{spec.max_epochs} epochs" if spec.max_steps is None else f"{spec.max_steps} steps"
    return f"the target was not reached in {length}"


def _reasons(
    run: PreparedRun, meter: Meter, *, failure: BaseException | None, skipped: tuple[str, ...]
) -> tuple[str, ...]:
    """Why the run is not valid; empty for a valid one."""
    if failure is not None:
        return (assembly.reason_of(failure),)
    missed = () if meter.reached else (_missed(run, meter),)
    limit = run.session.spec.data.skip_corrupt
    if len(skipped) <= limit:  # each worker has checked its own
        return missed
    return (*missed, f"all workers together skipped {len(skipped)} corrupt examples, data.skip_corrupt allows {limit}")


def _broken_rules(run: PreparedRun, meter: Meter, *, cleared: bool) -> tuple[str, ...]:
    """The rules that keep the run out of the closed division."""
    spec, data = run.session.spec, run.session.data
    found = rules.violations(spec if run.seed_given else dataclasses.replace(spec, seed=None), run.benchmark)
    if not benchmarks.is_mlperf(run.benchmark):
        return found
    return found + rules.ineligibilities(
        run.session.task,
        cache_cleared=cleared,
        train_examples=data.train_examples,
        eval_examples=data.eval_examples,
        init_s=meter.init_s,
    )


def _epochs(run: PreparedRun, meter: Meter) -> int:
    """Epochs trained; if evaluations are scheduled in samples, whole passes over the training data."""
    if meter.unit == "epochs":
        return len(meter.epochs)
    return (meter.examples or 0) // run.session.data.train_examples


def _measurements(meter: Meter) -> Iterator[result.Measurement]:
    yield result.Measurement(name="initialisation", value=meter.init_s, unit="s")
    yield result.Measurement(name="training", value=meter.training_s, unit="s")
    yield result.Measurement(name="evaluation", value=meter.evaluation_s, unit="s")


def _scoring_share(meter: Meter, costs: tuple[result.Measurement, ...]) -> Iterator[result.Measurement]:
    """How much of the time on the clock the scorer on the host took."""
    for cost in costs:
        if cost.name == "scoring" and meter.run_s:
            yield result.Measurement(name="scoring share", value=100 * cost.value / meter.run_s, unit="% of the clock")


def _finite(value: float | None) -> float | None:
    """The value; None for NaN and infinity, which JSON lacks."""
    return value if value is not None and math.isfinite(value) else None


def _already_reached(meter: Meter) -> bool:
    untrained = meter.untrained_quality
    return not meter.steps and untrained is not None and meter.goal.reached_by(untrained)


def _missed(run: PreparedRun, meter: Meter) -> str:
    if meter.untrained_quality is not None and _already_reached(meter):
        value = table.decimals(meter.untrained_quality, beside=run.target.value)
        return (
            f"{_ALREADY_REACHED}: {run.target.metric} was {value}, the target is {run.target.value:g}. Raise "
            "quality_target, or start from other weights"
        )
    if meter.quality is None:
        return f"{result.MISSED}: no evaluation was made"
    reached = table.decimals(meter.quality, beside=run.target.value)
    trained = f"{meter.position} {meter.unit}"
    return f"{result.MISSED}: {run.target.metric} {reached} after {trained}, the target is {run.target.value:g}"

"""Trains one trial in this process: `python -m tfperf.tuning.training_trial TRIAL_DIRECTORY PARENT_PID`."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import sys
import traceback

import tensorflow as tf

from tfperf import benchmarks, config, manifest, result
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import QualityTarget, TrainingTask, quality_of
from tfperf.errors import TfperfError
from tfperf.events import Event, Fanout
from tfperf.reporting import jsonl, tensorboard
from tfperf.system import allocator, devices, environment
from tfperf.training import loop
from tfperf.training import session as sessions
from tfperf.training.goal import Goal
from tfperf.training.meter import Meter
from tfperf.training.session import Session
from tfperf.tuning import parent_watch, training_job
from tfperf.tuning import trial as trials
from tfperf.tuning.early_stop import StopEarly
from tfperf.tuning.training_job import TrainingJob
from tfperf.tuning.trial import Trial

_NOT_CLOSED = "It is a trial of an internal sweep."


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialRun:
    """The training of one trial.

    Attributes:
        job: the job that the sweep wrote.
        spec: the spec to train.
        task: how the benchmark is trained.
        benchmark: the benchmark's name.
        quality: the target. Training stops there only if the sweep's objective is the time to it.
        meter: the clock.
        early_stop: ends the training early.
    """

    job: TrainingJob
    spec: specs.TrainSpec
    task: TrainingTask
    benchmark: str
    quality: QualityTarget
    meter: Meter
    early_stop: StopEarly


def main(directory: pathlib.Path) -> None:
    """Trains the trial in the directory and writes down how it ended. A failure is an outcome, too."""
    job, spec, benchmark = training_job.read(directory)
    task = benchmarks.training_task(benchmark)
    running = trials.read(directory)
    quality = quality_of(task, spec)
    assert spec.seed is not None, "a trial has its seed from the sweep"
    hparams = {**tensorboard.flat(running.values), "division": "internal", "seed": spec.seed}
    board = tensorboard.TensorBoard(directory, metric=quality.metric, target=quality.value, hparams=hparams)
    sink = Fanout((jsonl.JsonLines(directory / "events.jsonl"), board))
    sink.emit(Event(key="sweep_trial", value=running.name, metadata={"division": "internal", **running.values}))
    for_time = job.objective == "time_to_target"
    goal = Goal(metric=quality.metric, target=quality.value if for_time else None, mode="max")
    meter = Meter(sink, goal=goal, batch_size=spec.global_batch_size, compiled=True)
    early_stop = StopEarly(
        meter,
        rule=None if job.objective == "examples_per_s" else job.early_stopping,
        rivals=job.rivals,
        best_time_s=job.best_time_s if for_time else None,
    )
    run = TrialRun(
        job=job,
        spec=spec,
        task=task,
        benchmark=benchmark.name,
        quality=quality,
        meter=meter,
        early_stop=early_stop,
    )
    captured: dict[str, object] = {}
    failure = ""
    try:
        _train(run, captured)
        meter.abort(early_stop.reason or f"the trial ended after {len(meter.epochs)} epochs")
    except Exception as error:
        traceback.print_exc()
        failure = failure_reason(error)
        meter.abort(failure)
    ended = _ended(run, running, failure=failure)
    outcome = _result(run, ended, captured=captured)
    environment.write(directory / "environment.json", {"division": "internal", **captured})
    result.write(directory / "result.json", outcome)
    board.finish(outcome)
    sink.close()
    trials.write(directory, ended)
    manifest.write(directory, division="internal", code_version=environment.code_version())


def _train(run: TrialRun, captured: dict[str, object]) -> None:
    job, spec, task = run.job, run.spec, run.task
    assert spec.seed is not None, "a trial has its seed from the sweep"
    keeps_freed_memory = allocator.keep_freed_memory()
    strategy = devices.strategy_for(job.device)
    sessions.set_globals(spec, seed=spec.seed)
    data_dir = None if job.data_dir is None else pathlib.Path(job.data_dir)
    data = task.open_data(spec.data, spec.model, data_dir)
    session = Session(spec=spec, task=task, strategy=strategy, data=data, seed=spec.seed, data_dir=data_dir)
    sessions.check(session)
    captured.update(environment.capture({**devices.describe(strategy), "keeps_freed_memory": keeps_freed_memory}))
    program = sessions.build(session)
    sessions.load_initial_weights(session, program)
    sessions.warm_up(session, program)
    plan = sessions.planned(session, max_epochs=job.max_epochs)
    training, evaluation = sessions.open_inputs(session, plan)
    hooks = [sessions.clock(session, run.meter, plan), run.early_stop]
    run.meter.start()
    loop.fit(program, plan, train=training, evaluation=evaluation, callbacks=hooks)


def failure_reason(failure: BaseException) -> str:
    """Why a trial failed, in one line."""
    if isinstance(failure, (MemoryError, tf.errors.ResourceExhaustedError)):
        return f"out of memory: {str(failure).splitlines()[0] if str(failure) else type(failure).__name__}"
    if isinstance(failure, TfperfError):
        return str(failure)
    return f"{type(failure).__name__}: {failure}"


def _ended(run: TrialRun, running: Trial, *, failure: str) -> Trial:
    meter, job, target = run.meter, run.job, run.quality.value
    rate = (meter.examples or 0) / meter.training_s if meter.training_s else None
    quality = meter.quality if meter.quality is not None and math.isfinite(meter.quality) else None
    failure = failure or _nothing_measured(job, quality=quality, rate=rate)
    objectives = {
        "quality": quality,
        "time_to_target": meter.run_s if meter.reached else None,
        "examples_per_s": rate,
    }
    objective = None if failure else objectives[job.objective]
    score = objective
    if job.objective == "time_to_target" and score is None and not failure and quality is not None:
        score = estimated_time_s(
            meter.run_s, epochs=len(meter.epochs), of=job.max_epochs, quality=quality, target=target
        )
    return dataclasses.replace(
        running,
        status="failed" if failure else "stopped" if run.early_stop.reason else "completed",
        reason=failure or run.early_stop.reason or _missed(job, meter, target=target),
        objective=objective,
        score=score,
        quality=quality,
        time_to_target_s=meter.run_s if meter.reached else None,
        examples_per_s=rate,
        epochs=len(meter.epochs),
        run_s=meter.run_s,
        curve=tuple(run.early_stop.curve),
    )


def estimated_time_s(run_s: float, *, epochs: int, of: int, quality: float, target: float) -> float:
    """The search's score for a trial that missed its target: the time of all its epochs, longer by the shortfall.

    It only guides the search: such a trial has no time to target and is never the best.
    """
    whole_s = run_s * of / max(epochs, 1)
    return whole_s * (1 + max(0.0, target - quality) / max(abs(target), 1e-9))


def _nothing_measured(job: TrainingJob, *, quality: float | None, rate: float | None) -> str:
    if job.objective == "examples_per_s":
        return "" if rate is not None else "no step was trained"
    return "" if quality is not None else "no evaluation gave a finite quality"


def _missed(job: TrainingJob, meter: Meter, *, target: float) -> str:
    if job.objective != "time_to_target" or meter.reached or meter.quality is None:
        return ""
    return f"{result.MISSED}: {meter.quality:.4f} after {len(meter.epochs)} epochs, the target is {target:g}"


def _result(run: TrialRun, ended: Trial, *, captured: dict[str, object]) -> result.TrainResult:
    meter = run.meter
    reached = meter.reached and ended.status == "completed"
    why = ended.reason or result.UNTARGETED_TRIAL
    return result.TrainResult(
        benchmark=run.benchmark,
        division="internal",
        valid=reached,
        reasons=() if reached else (why,),
        closed_eligible=False,
        closed_ineligible_because=(_NOT_CLOSED,),
        status="success" if meter.reached else "aborted",
        config=config.as_dict(run.spec),
        environment=captured,
        time_to_train_s=meter.run_s if meter.reached else None,
        run_s=meter.run_s,
        quality=result.Quality(
            metric=run.quality.metric, value=ended.quality, target=run.quality.value, reached=meter.reached
        ),
        epochs=len(meter.epochs),
        examples_per_s=ended.examples_per_s,
        notes=(f"Trial {ended.name} of an internal sweep.",),
    )


if __name__ == "__main__":
    parent_watch.end_with(int(sys.argv[2]))
    main(pathlib.Path(sys.argv[1]))

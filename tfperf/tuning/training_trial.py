"""Trains one trial in this process: `python -m tfperf.tuning.training_trial TRIAL_DIRECTORY PARENT_PID`."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import sys
import traceback

import tensorflow as tf

from tfperf import config, manifest, result, spec
from tfperf.benchmarks.benchmark import Benchmark, quality_of
from tfperf.errors import TfperfError
from tfperf.events import Event, Fanout
from tfperf.reporting import jsonl, tensorboard
from tfperf.system import allocator, devices, environment
from tfperf.training import session as sessions
from tfperf.training.recorder import Recorder, unreported
from tfperf.training.session import Session
from tfperf.tuning import lifeline, training_job, trial
from tfperf.tuning.hopeless import Hopeless
from tfperf.tuning.training_job import TrainingJob
from tfperf.tuning.trial import Trial

_NOT_CLOSED = "It is a trial of an internal sweep."


def main(directory: pathlib.Path) -> None:
    """Trains what the job in the directory says and writes down what came out; a failure is an outcome, too."""
    job, asked, benchmark = training_job.read(directory)
    assert asked.seed is not None, "a trial has its seed from the sweep"
    running = trial.read(directory)
    with_target = quality_of(benchmark.training, asked).value
    hparams = {**tensorboard.flat(running.values), "division": "internal", "seed": asked.seed}
    board = tensorboard.TensorBoard(
        directory, metric=benchmark.training.quality.metric, target=with_target, hparams=hparams
    )
    sink = Fanout((jsonl.JsonLines(directory / "events.jsonl"), board))
    sink.emit(Event(key="sweep_trial", value=running.name, metadata={"division": "internal", **running.values}))
    recorder = Recorder(
        sink,
        target=dataclasses.replace(
            benchmark.training.quality, value=with_target if job.objective == "time_to_target" else math.inf
        ),
        global_batch_size=asked.global_batch_size,
    )
    rule = None if job.objective == "examples_per_s" else job.early_stopping
    best_time_s = job.best_time_s if job.objective == "time_to_target" else None
    hopeless = Hopeless(recorder, rule=rule, rivals=job.rivals, best_time_s=best_time_s)
    captured: dict[str, object] = {}
    failure = ""
    try:
        _train(job, asked, benchmark, recorder, hopeless, captured)
        recorder.abort(hopeless.reason or f"the trial was over after {recorder.epochs} epochs")
    except Exception as error:
        traceback.print_exc()
        failure = in_words(error)
        recorder.abort(failure)
    ended = _ended(running, job, recorder, hopeless, target=with_target, failure=failure)
    outcome = _result(ended, asked, benchmark, recorder, captured=captured, target=with_target)
    environment.write(directory / "environment.json", {"division": "internal", **captured})
    result.write(directory / "result.json", outcome)
    board.finish(outcome)
    sink.close()
    trial.write(directory, ended)
    manifest.write(directory, division="internal", code_version=environment.code_version())


def _train(
    job: TrainingJob,
    asked: spec.TrainSpec,
    benchmark: Benchmark,
    recorder: Recorder,
    hopeless: Hopeless,
    captured: dict[str, object],
) -> None:
    assert asked.seed is not None, "a trial has its seed from the sweep"
    keeps_freed_memory = allocator.keep_freed_memory()
    strategy = devices.strategy_for(job.device)
    sessions.set_globals(asked, seed=asked.seed)
    task = benchmark.training
    data_dir = None if job.data_dir is None else pathlib.Path(job.data_dir)
    data = task.open_data(asked.data, asked.model, data_dir)
    session = Session(spec=asked, task=task, strategy=strategy, data=data, seed=asked.seed)
    sessions.check(session)
    captured.update(environment.capture({**devices.describe(strategy), "keeps_freed_memory": keeps_freed_memory}))
    program = sessions.program(session)
    sessions.warm_up(session, program)
    reported = tuple(program.model.get_metrics_result())
    if task.quality.metric not in reported:
        raise unreported(task.quality.metric, reported)
    recorder.start()
    sessions.fit(session, program, [recorder, hopeless], epochs=job.max_epochs)


def in_words(failure: BaseException) -> str:
    """Why a trial failed, in a line."""
    if isinstance(failure, (MemoryError, tf.errors.ResourceExhaustedError)):
        return f"out of memory: {str(failure).splitlines()[0] if str(failure) else type(failure).__name__}"
    if isinstance(failure, TfperfError):
        return str(failure)
    return f"{type(failure).__name__}: {failure}"


def _ended(
    running: Trial, job: TrainingJob, recorder: Recorder, hopeless: Hopeless, *, target: float, failure: str
) -> Trial:
    rate = recorder.examples / recorder.training_s if recorder.training_s else None
    quality = recorder.quality if recorder.quality is not None and math.isfinite(recorder.quality) else None
    failure = failure or _nothing_measured(job, quality=quality, rate=rate)
    objectives = {
        "quality": quality,
        "time_to_target": recorder.run_s if recorder.reached else None,
        "examples_per_s": rate,
    }
    objective = None if failure else objectives[job.objective]
    score = objective
    if job.objective == "time_to_target" and score is None and not failure and quality is not None:
        score = guess_of_time(recorder.run_s, epochs=recorder.epochs, of=job.max_epochs, quality=quality, target=target)
    return dataclasses.replace(
        running,
        status="failed" if failure else "stopped" if hopeless.reason else "completed",
        reason=failure or hopeless.reason or _missed(job, recorder, target=target),
        objective=objective,
        score=score,
        quality=quality,
        time_to_target_s=recorder.run_s if recorder.reached else None,
        examples_per_s=rate,
        epochs=recorder.epochs,
        run_s=recorder.run_s,
        curve=tuple(hopeless.curve),
    )


def guess_of_time(run_s: float, *, epochs: int, of: int, quality: float, target: float) -> float:
    """What the search is told of a trial that missed its target: the time of all its epochs, longer by the shortfall.

    It only guides the search. Such a trial has no time to target and is never the best.
    """
    whole_s = run_s * of / max(epochs, 1)
    return whole_s * (1 + max(0.0, target - quality) / max(abs(target), 1e-9))


def _nothing_measured(job: TrainingJob, *, quality: float | None, rate: float | None) -> str:
    if job.objective == "examples_per_s":
        return "" if rate is not None else "no step was trained"
    return "" if quality is not None else "no evaluation gave a finite quality"


def _missed(job: TrainingJob, recorder: Recorder, *, target: float) -> str:
    if job.objective != "time_to_target" or recorder.reached or recorder.quality is None:
        return ""
    return f"the target {target:g} was missed: {recorder.quality:.4f} after {recorder.epochs} epochs"


def _result(
    ended: Trial,
    asked: spec.TrainSpec,
    benchmark: Benchmark,
    recorder: Recorder,
    *,
    captured: dict[str, object],
    target: float,
) -> result.TrainResult:
    quality = result.Quality(
        metric=benchmark.training.quality.metric, value=ended.quality, target=target, reached=recorder.reached
    )
    reached = recorder.reached and ended.status == "completed"
    why = ended.reason or "a trial of a sweep, which was not trained to the target"
    return result.TrainResult(
        benchmark=benchmark.name,
        division="internal",
        valid=reached,
        reasons=() if reached else (why,),
        closed_eligible=False,
        closed_ineligible_because=(_NOT_CLOSED,),
        status="success" if recorder.reached else "aborted",
        config=config.as_dict(asked),
        environment=captured,
        time_to_train_s=recorder.run_s if recorder.reached else None,
        run_s=recorder.run_s,
        quality=quality,
        epochs=recorder.epochs,
        examples_per_s=ended.examples_per_s,
        notes=(f"Trial {ended.name} of an internal sweep.",),
    )


if __name__ == "__main__":
    lifeline.hold(int(sys.argv[2]))
    main(pathlib.Path(sys.argv[1]))

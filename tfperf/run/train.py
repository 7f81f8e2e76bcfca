"""One training run, from its spec to its result. Read `train` from top to bottom."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import sys
import typing
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfperf import benchmarks, config, disk, manifest, result
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.compliance import mllog, rules
from tfperf.errors import UsageError
from tfperf.events import Event, Fanout, Sink
from tfperf.reporting import jsonl, progress, tensorboard
from tfperf.run import observed, trained_model, workers
from tfperf.run import outcome as outcomes
from tfperf.run.exhibition import Exhibition
from tfperf.run.prepared import PreparedRun, prepare
from tfperf.system import assembly, caches, environment, multi_worker, preflight
from tfperf.telemetry import recorder as recorders
from tfperf.telemetry.observation import Observed
from tfperf.training import hyperparameters, loop, profiled_steps
from tfperf.training import session as sessions
from tfperf.training.goal import Goal
from tfperf.training.meter import Meter
from tfperf.training.program import Program
from tfperf.workspace import Workspace


def train(
    spec: specs.TrainSpec,
    benchmark: Benchmark,
    *,
    workspace: Workspace,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    profile: bool = False,
    worker_timeout_s: float = assembly.WORKER_TIMEOUT_S,
) -> tuple[result.TrainResult, pathlib.Path | None]:
    """Trains a benchmark to its quality target and times it.

    A run that finished, whether it reached the target or not, writes its model to `model.keras`, uncompiled and with
    float32 computation. This happens after the clock has stopped.

    Args:
        spec: the complete spec of the training.
        benchmark: the benchmark that `spec` names.
        workspace: where to read and write, and the device to train on.
        callbacks: further Keras callbacks. The clock is stopped by an evaluation before they see it.
        profile: whether to profile a few steps for TensorBoard: in a closed run before the clock starts, on synthetic
            batches; in other runs during training.
        worker_timeout_s: seconds to wait at most for the other workers that TF_CONFIG names.

    Returns:
        The result and its run directory; the directory is None on workers other than the chief.

    Raises:
        TfperfError: the spec can't be run, or the data is damaged. A run that had started keeps its directory, with a
            log that ends with `aborted`.
    """
    rules.check_training(spec, benchmark)
    with workers.agreed(spec, timeout_s=worker_timeout_s) as together:
        return train_together(spec, benchmark, together, workspace=workspace, callbacks=callbacks, profile=profile)


def train_together(
    spec: specs.TrainSpec,
    benchmark: Benchmark,
    together: assembly.Assembly,
    *,
    workspace: Workspace,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    profile: bool = False,
) -> tuple[result.TrainResult, pathlib.Path | None]:
    """Like `train`, with workers that are here and agree.

    Args:
        spec: as in `train`, checked against the rules.
        benchmark: as in `train`.
        together: the workers.
        workspace: as in `train`.
        callbacks: as in `train`.
        profile: as in `train`.
    """
    place = {"worker": together.cluster.index, "workers": together.cluster.workers}
    recorders.checked_meter(spec.telemetry, **place)
    run = prepare(spec, benchmark, workspace, together)
    spec = run.session.spec
    run_dir = workspace.make_run_dir() if together.cluster.is_chief else None
    board = None if run_dir is None else _board(run, run_dir)
    sink = _sinks(run, run_dir, board)
    clears = benchmarks.is_mlperf(run.benchmark) and spec.division is not specs.Division.INTERNAL
    cleared = clears and _cleared_by_all(together)
    meter = _meter(run, sink)
    clock = sessions.clock(run.session, meter, run.plan)
    untimed = profile and spec.division is specs.Division.CLOSED
    timed = None if not profile or untimed or run_dir is None else _profiled_steps(run, run_dir)
    notes: list[str] = []
    failure: BaseException | None = None
    trained: keras.Model | None = None
    skipped: tuple[str, ...] | None = None
    costs: tuple[result.Measurement, ...] = ()
    seen: Observed | None = None
    synthetic_step_s: float | None = None
    recorder = recorders.Recorder(run_dir, spec.telemetry, **place)
    try:
        recorder.idle()
        _announce(run, sink, cleared=cleared)
        program = sessions.build(run.session)
        _log_hyperparameters(run, sink, program)
        weights = sessions.load_initial_weights(run.session, program)
        if weights is not None:
            notes.append(f"Training started from initial weights: {weights}.")
        untimed_steps = observed.SYNTHETIC_STEPS if spec.telemetry.rate_hz else 0
        synthetic_step_s = sessions.warm_up(run.session, program, timed_steps=untimed_steps)
        if untimed:
            notes.append(profiled_steps.on_synthetic_batches(run.session, program, run_dir))
        preflight.agree(together, {"initial weights": weights})
        training, evaluation = sessions.open_inputs(run.session, run.plan)
        recorder.mark("begin of training")
        meter.start()
        exhibition = _exhibition(run, program, board, meter)
        hooks = [clock, *([exhibition] if exhibition else []), *([timed] if timed else []), *callbacks]
        loop.fit(program, run.plan, train=training, evaluation=evaluation, callbacks=hooks)
        trained = program.model
        meter.abort(outcomes.ended(run, meter))
        recorder.mark("end of training")
        seen = observed.by_all(together, observed.ended(recorder, meter))
        costs = _costs(program, exhibition, board)
        skipped = _skipped_by_all(together, skipped=run.session.data.skipped())
    except BaseException as error:
        if isinstance(error, OSError) and disk.refuses_writes(error):
            raise  # nothing more can be written, and the existing files read as incomplete
        failure = _culprit(error, run)
        together.failed(failure)  # before the files are written: the others wait for the reason only briefly
        if not isinstance(failure, assembly.LostWorkerError | loop.NonFiniteLossError):
            multi_worker.abort(together.cluster, assembly.reason_of(failure))
        meter.abort(assembly.reason_of(failure))
    finally:
        if timed:
            timed.close()
            notes.append(timed.note)
        if seen is None:
            seen = observed.by_one(observed.ended(recorder, meter), workers=together.cluster.workers)
        recorder.close()
    skipped = run.session.data.skipped() if skipped is None else skipped
    outcome = outcomes.of(
        run, meter, failure=failure, cleared=cleared, skipped=skipped, costs=costs, notes=tuple(notes)
    )
    outcome = observed.added(outcome, seen, failure=recorder.failure)
    outcome = observed.limited(outcome, meter, synthetic_step_s=synthetic_step_s)
    if run_dir is not None and board is not None:
        if isinstance(failure, UsageError) and not meter.run_s:  # nothing was run
            sink.close()
            shutil.rmtree(run_dir)
        else:
            _write(run_dir, outcome, run=run, trained=trained, sink=sink, board=board)
    if failure is not None and not isinstance(failure, loop.NonFiniteLossError):
        raise failure
    return outcome, run_dir


def _meter(run: PreparedRun, sink: Sink) -> Meter:
    return Meter(
        sink,
        goal=Goal(metric=run.target.metric, target=run.target.value, mode="max"),
        unit=run.session.unit,
        batch_size=run.session.spec.global_batch_size,
        compiled=True,
    )


def _board(run: PreparedRun, run_dir: pathlib.Path) -> tensorboard.TensorBoard:
    hparams = tensorboard.flat(config.as_dict(run.session.spec))
    return tensorboard.TensorBoard(run_dir, metric=run.target.metric, target=run.target.value, hparams=hparams)


def _sinks(run: PreparedRun, run_dir: pathlib.Path | None, board: tensorboard.TensorBoard | None) -> Sink:
    """The receivers of the run's events. Workers other than the chief have none."""
    if run_dir is None or board is None:
        return Fanout(())
    (run_dir / "spec.yaml").write_text(repeating(run.session.spec), encoding="utf-8")
    environment.write(run_dir / "environment.json", run.environment)
    return Fanout(
        (
            mllog.MllogSink(run_dir / "mllog.txt"),
            jsonl.JsonLines(run_dir / "events.jsonl"),
            board,
            _progress(run),
        )
    )


def repeating(spec: specs.TrainSpec) -> str:
    """The config that repeats a run. Every closed run draws its own seed, so only a comment names a closed run's."""
    if spec.division is not specs.Division.CLOSED:
        return config.dump(spec)
    comment = f"# The seed was {spec.seed}. A closed run must draw its own, so the config sets none.\n"
    return comment + config.dump(dataclasses.replace(spec, seed=None))


def _progress(run: PreparedRun) -> progress.Progress:
    """The progress display. It counts epochs if both the length of the run and its evaluations do, else steps."""
    spec = run.session.spec
    in_epochs = spec.max_epochs is not None and run.session.unit == "epochs"
    return progress.Progress(
        sys.stderr,
        metric=run.target.metric,
        target=run.target.value,
        max_epochs=spec.max_epochs if in_epochs else None,
        max_steps=None if in_epochs else sum(planned.steps for planned in run.plan.epochs),
        interactive=sys.stderr.isatty(),
    )


def _announce(run: PreparedRun, sink: Sink, *, cleared: bool) -> None:
    """Logs the submission and the start of the untimed initialisation."""
    platform = run.session.spec.submission.platform or run.environment["platform"]
    for event in mllog.submission(run.session.spec, run.benchmark, platform=platform):
        sink.emit(event)
    if cleared:
        sink.emit(Event(key="cache_clear", value=True))
    sink.emit(Event(key="init_start"))
    sink.flush()


def _log_hyperparameters(run: PreparedRun, sink: Sink, program: Program) -> None:
    session = run.session
    shares = session.strategy.num_replicas_in_sync * session.spec.gradient_accumulation_steps
    for event in mllog.hyperparameters(
        session.spec,
        seed=session.seed,
        optimizer=hyperparameters.read(program.model.optimizer, steps_per_epoch=session.steps_per_epoch),
        bn_span=session.spec.global_batch_size // shares if _normalises_batches(program.model) else None,
        train_examples=session.data.train_examples,
        eval_examples=session.data.eval_examples,
    ):
        sink.emit(event)
    task = session.task
    for event in () if task.logged is None else task.logged(session.spec.model):
        sink.emit(event)
    sink.flush()


def _normalises_batches(model: keras.Model) -> bool:
    norms = (layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization))
    return any(norm.trainable for norm in norms)  # a frozen one keeps its statistics


def _profiled_steps(run: PreparedRun, run_dir: pathlib.Path) -> profiled_steps.ProfiledSteps:
    return profiled_steps.ProfiledSteps(
        run_dir, steps_per_epoch=run.plan.epochs[0].steps, steps_per_execution=run.plan.steps_per_execution
    )


def _exhibition(
    run: PreparedRun, program: Program, board: tensorboard.TensorBoard | None, meter: Meter
) -> Exhibition | None:
    exhibit = run.session.data.exhibit
    if board is None or program.scoring is None or exhibit is None:
        return None
    return Exhibition(program.scoring.scorer, exhibit, board=board, meter=meter)


def _costs(
    program: Program, exhibition: Exhibition | None, board: tensorboard.TensorBoard | None
) -> tuple[result.Measurement, ...]:
    """What the evaluations cost besides the predictions; waits until all is drawn."""
    found = []
    if program.scoring is not None:
        found.append(result.Measurement(name="scoring", value=program.scoring.seconds, unit="s"))
    if exhibition is not None and board is not None:
        board.flush()
        found.append(result.Measurement(name="drawing", value=exhibition.seconds, unit="s of CPU"))
    return tuple(found)


def _cleared_by_all(together: assembly.Assembly) -> bool:
    """Whether every worker could clear the system's caches."""
    return all(together.exchange(caches.drop()))


def _skipped_by_all(together: assembly.Assembly, *, skipped: tuple[str, ...]) -> tuple[str, ...]:
    """The corrupt examples that any worker skipped."""
    return tuple(sorted({line for lines in together.exchange(skipped) for line in lines}))


def _culprit(error: BaseException, run: PreparedRun) -> BaseException:
    """The error or, if another worker or a damaged file caused it, an error that names that.

    The search may take minutes. An interrupt during it is returned, so that the run still writes the end of its log.
    """
    # TensorFlow's message about a record can quote bytes of it that are not UTF-8, and then fails to become text.
    in_tensorflow: bool = isinstance(error, (tf.errors.OpError, UnicodeDecodeError))
    if not in_tensorflow:
        return error
    try:
        found = _traced(error, run)
    except KeyboardInterrupt as interrupt:
        return interrupt
    if found is None:
        return error
    found.__cause__ = error
    return found


def _traced(error: BaseException, run: PreparedRun) -> Exception | None:
    lost = multi_worker.lost_worker(error, run.together)
    if lost is not None:
        return lost
    run.together.diagnosing()
    return run.session.data.diagnose(typing.cast(Exception, error))


def _write(
    run_dir: pathlib.Path,
    outcome: result.TrainResult,
    *,
    run: PreparedRun,
    trained: keras.Model | None,
    sink: Sink,
    board: tensorboard.TensorBoard,
) -> None:
    unsaved = None if trained is None else _save(run_dir, _plain(trained, run))
    if unsaved is not None:  # the space that it took is free again, so the result can say so
        note = f"{trained_model.NAME} could not be saved: {unsaved}"
        outcome = dataclasses.replace(outcome, notes=(*outcome.notes, note))
    result.write(run_dir / "result.json", outcome)
    board.finish(outcome)
    sink.close()
    manifest.write(run_dir, division=outcome.division, code_version=outcome.environment["code_version"])
    if unsaved is not None:
        raise unsaved


def _save(run_dir: pathlib.Path, model: keras.Model) -> OSError | None:
    try:
        trained_model.save(model, run_dir / trained_model.NAME)
    except OSError as error:
        return error
    return None


def _plain(trained: keras.Model, run: PreparedRun) -> keras.Model:
    """The model for use after training: without optimizer, on one device, in float32."""
    keras.config.set_dtype_policy("float32")
    try:
        model = run.session.task.build_model(run.session.spec.model)
    finally:
        keras.config.set_dtype_policy(sessions.policy(run.session.spec.precision))
    model.set_weights(trained.get_weights())
    return model

"""One run, from what was asked for to what came out, read from top to bottom."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfperf import config, directory, manifest, result, spec
from tfperf.benchmarks.benchmark import Benchmark, OpenData, QualityTarget, quality_of
from tfperf.compliance import mllog, rules
from tfperf.directory import Place
from tfperf.errors import TfperfError, UsageError
from tfperf.events import Event, Fanout, Sink
from tfperf.reporting import jsonl, progress, table, tensorboard
from tfperf.system import allocator, caches, cluster, devices, environment
from tfperf.training import loop, optimizers, profiled_steps
from tfperf.training import session as sessions
from tfperf.training.recorder import Recorder, unreported


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
    """A run that is ready to begin."""

    session: sessions.Session
    benchmark: Benchmark
    target: QualityTarget
    workers: cluster.Cluster
    environment: Mapping[str, Any]


def train(
    asked: spec.TrainSpec,
    benchmark: Benchmark,
    *,
    place: Place,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    profile: bool = False,
) -> tuple[result.TrainResult, pathlib.Path | None]:
    """Trains a benchmark to its target on the clock.

    A run that came to its end, whether it reached the target or not, leaves the model in `model.keras`, uncompiled and
    computing in float32; it is written after the clock stopped.

    Args:
        asked: what to run, complete.
        benchmark: the benchmark that `asked` names.
        place: where to read and write.
        callbacks: further Keras callbacks; each sees an evaluation after the clock was stopped by it.
        profile: whether a few steps are profiled for TensorBoard: of a closed run before the clock starts, on synthetic
            batches; of others within the run.

    Returns:
        The result, and the run directory that holds it; None on workers other than the chief.

    Raises:
        TfperfError: what was asked for can't be run, or the data is damaged. A run that had begun leaves its directory,
            with a log that ends `aborted`.
    """
    rules.check_training(asked, benchmark)
    run = _prepared(asked, benchmark, place)
    run_dir = directory.make(place.output_dir, name=place.name) if run.workers.is_chief else None
    board = None if run_dir is None else _board(run, run_dir)
    sink = _sinks(run, run_dir, board)
    cleared = benchmark.mlperf and asked.division is not spec.Division.INTERNAL and caches.drop()
    recorder = Recorder(
        sink,
        target=run.target,
        global_batch_size=run.session.spec.global_batch_size,
        block_epochs=lambda epoch: _epochs_to_evaluation(run.session.spec, epoch),
    )
    untimed = profile and asked.division is spec.Division.CLOSED
    timed = None if not profile or untimed or run_dir is None else _profiled_steps(run.session, run_dir)
    notes: tuple[str, ...] = ()
    failure: BaseException | None = None
    trained: keras.Model | None = None
    try:
        _announce(run, sink, cleared=cleared)
        program = sessions.program(run.session)
        _warm_up(program, run)
        if untimed:
            notes = (profiled_steps.on_synthetic_batches(run.session, program, run_dir),)
        cluster.preflight(run.workers, run.session.strategy, facts=_common_facts(run))
        recorder.start()
        sessions.fit(run.session, program, [recorder, *([timed] if timed else []), *callbacks])
        trained = program.model
        recorder.abort(f"the target was not reached in {run.session.spec.max_epochs} epochs")
    except OSError:
        raise  # a full or failing disk: nothing more can be written, and what was written reads as incomplete
    except BaseException as error:
        failure = _blamed(error, run.session.data)
        recorder.abort(_in_words(failure))
    finally:
        if timed:
            timed.close()
            notes = (timed.note,)
    outcome = _outcome(run, recorder, failure=failure, cleared=cleared, seed_given=asked.seed is not None, notes=notes)
    if run_dir is not None and board is not None:
        if isinstance(failure, UsageError) and not recorder.run_s:  # nothing was run
            sink.close()
            shutil.rmtree(run_dir)
        else:
            _write(run_dir, outcome, run=run, trained=trained, sink=sink, board=board)
    if failure is not None and not isinstance(failure, loop.NonFiniteLossError):
        raise failure
    return outcome, run_dir


def _prepared(asked: spec.TrainSpec, benchmark: Benchmark, place: Place) -> _Run:
    keeps_freed_memory = allocator.keep_freed_memory()
    workers = cluster.from_environment()
    strategy = devices.strategy_for(place.device, workers=workers.workers)
    seed = _common_seed(strategy, workers) if asked.seed is None else asked.seed
    complete = dataclasses.replace(asked, seed=seed)
    sessions.set_globals(complete, seed=seed)
    task = benchmark.training
    session = sessions.Session(
        spec=complete,
        task=task,
        strategy=strategy,
        data=task.open_data(complete.data, complete.model, place.data_dir),
        seed=seed,
    )
    sessions.check(session)
    return _Run(
        session=session,
        benchmark=benchmark,
        target=quality_of(task, asked),
        workers=workers,
        environment=environment.capture({**devices.describe(strategy), "keeps_freed_memory": keeps_freed_memory}),
    )


def _common_seed(strategy: tf.distribute.Strategy, workers: cluster.Cluster) -> int:
    """A seed from the system's entropy; the chief's, on all workers."""
    drawn = secrets.randbits(31)
    if workers.workers == 1:
        return drawn
    own = tf.constant([drawn], tf.int64)
    return int(strategy.gather(strategy.run(lambda: tf.identity(own)), axis=0)[0].numpy())


def _board(run: _Run, run_dir: pathlib.Path) -> tensorboard.TensorBoard:
    hparams = tensorboard.flat(config.as_dict(run.session.spec))
    return tensorboard.TensorBoard(run_dir, metric=run.target.metric, target=run.target.value, hparams=hparams)


def _sinks(run: _Run, run_dir: pathlib.Path | None, board: tensorboard.TensorBoard | None) -> Sink:
    """Where events go; on workers other than the chief nowhere."""
    if run_dir is None or board is None:
        return Fanout(())
    (run_dir / "spec.yaml").write_text(config.dump(run.session.spec), encoding="utf-8")
    environment.write(run_dir / "environment.json", run.environment)
    watched = progress.Progress(
        sys.stderr,
        metric=run.target.metric,
        target=run.target.value,
        max_epochs=run.session.spec.max_epochs,
        interactive=sys.stderr.isatty(),
    )
    return Fanout((mllog.MllogSink(run_dir / "mllog.txt"), jsonl.JsonLines(run_dir / "events.jsonl"), board, watched))


def _announce(run: _Run, sink: Sink, *, cleared: bool) -> None:
    """Who runs what, then the beginning of the untimed initialisation and its hyper-parameters."""
    platform = run.session.spec.submission.platform or run.environment["platform"]
    for event in mllog.submission(run.session.spec, run.benchmark, platform=platform):
        sink.emit(event)
    if cleared:
        sink.emit(Event(key="cache_clear", value=True))
    sink.emit(Event(key="init_start"))
    shares = run.session.strategy.num_replicas_in_sync * run.session.spec.gradient_accumulation_steps
    for event in mllog.hyperparameters(
        run.session.spec,
        seed=run.session.seed,
        decay_steps=optimizers.decay_steps(
            run.session.spec.optimizer, run.session.steps_per_epoch, max_epochs=run.session.spec.max_epochs
        ),
        bn_span=run.session.spec.global_batch_size // shares,
        train_examples=run.session.data.train_examples,
        eval_examples=run.session.data.eval_examples,
    ):
        sink.emit(event)
    sink.flush()


def _profiled_steps(session: sessions.Session, run_dir: pathlib.Path) -> profiled_steps.ProfiledSteps:
    return profiled_steps.ProfiledSteps(
        run_dir, steps_per_epoch=session.steps_per_epoch, steps_per_execution=session.spec.steps_per_execution
    )


def _warm_up(program: loop.Program, run: _Run) -> None:
    sessions.warm_up(run.session, program)
    reported = tuple(program.model.get_metrics_result())
    if run.target.metric not in reported:
        raise unreported(run.target.metric, reported)


def _epochs_to_evaluation(asked: spec.TrainSpec, epoch: int) -> int:
    due = (n for n in range(epoch, asked.max_epochs + 1) if asked.evaluation.due(n, max_epochs=asked.max_epochs))
    return next(due) - epoch + 1


def _common_facts(run: _Run) -> dict[str, str]:
    return {
        "config": config.dump(run.session.spec),
        "versions": str(run.environment["packages"]),
        "code": str(run.environment["code_version"]),
        "data": run.session.data.fingerprint,
    }


def _blamed(error: BaseException, data: OpenData) -> BaseException:
    """The error, or the damaged file behind it."""
    damage = data.diagnose(error) if isinstance(error, tf.errors.OpError) else None
    if damage is None:
        return error
    damage.__cause__ = error
    return damage


def _in_words(failure: BaseException) -> str:
    if isinstance(failure, KeyboardInterrupt):
        return "interrupted"
    return str(failure) if isinstance(failure, TfperfError) else f"{type(failure).__name__}: {failure}"


def _outcome(
    run: _Run,
    recorder: Recorder,
    *,
    failure: BaseException | None,
    cleared: bool,
    seed_given: bool,
    notes: tuple[str, ...],
) -> result.TrainResult:
    asked = run.session.spec if seed_given else dataclasses.replace(run.session.spec, seed=None)
    rulings = rules.violations(asked, run.benchmark)
    if run.benchmark.mlperf:
        rulings += rules.ineligibilities(
            run.benchmark.training,
            cache_cleared=cleared,
            train_examples=run.session.data.train_examples,
            eval_examples=run.session.data.eval_examples,
            init_s=recorder.init_s,
        )
    missed = () if recorder.reached else (_missed(run, recorder) if failure is None else _in_words(failure),)
    return result.TrainResult(
        benchmark=run.benchmark.name,
        division=str(run.session.spec.division),
        valid=recorder.reached and failure is None,
        reasons=missed,
        closed_eligible=recorder.reached and failure is None and not rulings,
        closed_ineligible_because=rulings,
        status="success" if recorder.reached else "aborted",
        config=config.as_dict(run.session.spec),
        environment=run.environment,
        time_to_train_s=recorder.run_s if recorder.reached else None,
        run_s=recorder.run_s,
        quality=result.Quality(
            metric=run.target.metric, value=_finite(recorder.quality), target=run.target.value, reached=recorder.reached
        ),
        epochs=recorder.epochs,
        examples_per_s=recorder.examples / recorder.training_s if recorder.training_s else None,
        skipped_examples=run.session.data.skipped(),
        measurements=(
            result.Measurement(name="initialisation", value=recorder.init_s, unit="s"),
            result.Measurement(name="training", value=recorder.training_s, unit="s"),
            result.Measurement(name="evaluation", value=recorder.evaluation_s, unit="s"),
        ),
        notes=notes,
    )


def _finite(value: float | None) -> float | None:
    """The value, or None in place of NaN and infinity, which JSON has not."""
    return value if value is not None and math.isfinite(value) else None


def _missed(run: _Run, recorder: Recorder) -> str:
    if recorder.quality is None:
        return "no evaluation was made"
    reached = table.decimals(recorder.quality, beside=run.target.value)
    return (
        f"the target was missed: {run.target.metric} {reached} after {recorder.epochs} epochs, {run.target.value:g} or "
        "more asked for"
    )


def _write(
    run_dir: pathlib.Path,
    outcome: result.TrainResult,
    *,
    run: _Run,
    trained: keras.Model | None,
    sink: Sink,
    board: tensorboard.TensorBoard,
) -> None:
    result.write(run_dir / "result.json", outcome)
    board.finish(outcome)
    sink.close()
    if trained is not None:
        _plain(trained, run).save(run_dir / "model.keras")
    manifest.write(run_dir, division=outcome.division, code_version=outcome.environment["code_version"])


def _plain(trained: keras.Model, run: _Run) -> keras.Model:
    """The model as it is outside of training: with no optimizer, on one device, in float32."""
    keras.config.set_dtype_policy("float32")
    try:
        model = run.benchmark.training.build_model(run.session.spec.model)
    finally:
        keras.config.set_dtype_policy(run.session.spec.precision)
    model.set_weights(trained.get_weights())
    return model

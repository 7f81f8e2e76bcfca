"""A benchmark on its devices: the program, its batches and its schedule, as a spec describes them."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Feed, OpenData, Scorer, TrainingTask
from tfperf.errors import UsageError
from tfperf.system import cluster, devices
from tfperf.training import initial_weights, loop, optimizers, plan, program
from tfperf.training.meter import Meter, Unit
from tfperf.training.meter_callback import MeterCallback, unreported
from tfperf.training.program import Program
from tfperf.training.scoring import HostScoring

_EVALUATION_FEED_SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """The parts of a training run: the spec, the benchmark, the data and the devices.

    Attributes:
        spec: the complete spec, including the seed.
        task: how the benchmark is trained.
        strategy: the distribution strategy.
        data: the data set that was found.
        seed: the seed for the weights and for the order of the examples.
        data_dir: the data directory, in which a benchmark finds its initial weights; None for the default.
        workers: the hosts that take part.
    """

    spec: specs.TrainSpec
    task: TrainingTask
    strategy: tf.distribute.Strategy
    data: OpenData
    seed: int
    data_dir: pathlib.Path | None = None
    workers: cluster.Cluster = dataclasses.field(default_factory=cluster.Cluster)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return self.data.train_examples // self.spec.global_batch_size

    @property
    def unit(self) -> Unit:
        """The unit of `epoch_num` in the log: samples if evaluations are scheduled in samples, else epochs."""
        return "epochs" if self.spec.evaluation.every_samples is None else "samples"


def check(session: Session) -> None:
    """Refuses a batch that the replicas can't share or the data can't fill.

    Raises:
        UsageError: says what is accepted.
    """
    spec, replicas = session.spec, session.strategy.num_replicas_in_sync
    shares = replicas * spec.gradient_accumulation_steps
    if spec.global_batch_size % shares:
        raise UsageError(
            f"global_batch_size must be a multiple of {shares}, which is {replicas} replicas times "
            f"gradient_accumulation_steps={spec.gradient_accumulation_steps}; got {spec.global_batch_size}."
        )
    if not session.steps_per_epoch:
        raise UsageError(
            f"global_batch_size={spec.global_batch_size} is more than the {session.data.train_examples} training "
            "examples. Set a smaller one."
        )


def set_globals(spec: specs.TrainSpec, *, seed: int) -> None:
    """Sets what Keras and TensorFlow keep for the whole process: precision, seed, determinism."""
    keras.config.set_dtype_policy(policy(spec.precision))
    # TensorFlow's default is TF32 wherever float32 is asked for and the GPU has it.
    tf.config.experimental.enable_tensor_float_32_execution(spec.precision != "float32")
    keras.utils.set_random_seed(seed)
    if spec.deterministic:
        tf.config.experimental.enable_op_determinism()


def policy(precision: specs.Precision) -> str:
    """The Keras dtype policy of a precision. TF32 is a way to compute with float32, which Keras doesn't see."""
    return "float32" if precision == "tf32" else precision


def build(session: Session) -> Program:
    """The model, built and compiled under the strategy, with its training and evaluation steps."""
    spec, task = session.spec, session.task
    with session.strategy.scope():
        model = task.build_model(spec.model)
        optimizer = optimizers.build(
            spec.optimizer,
            steps_per_epoch=session.steps_per_epoch,
            total_steps=plan.total_steps(spec, steps_per_epoch=session.steps_per_epoch),
            precision=spec.precision,
        )
        task.compile_model(model, optimizer, spec.model)
    return program.build(
        model,
        session.strategy,
        jit=devices.jit_of(session.strategy, choice=spec.jit),
        accumulation=spec.gradient_accumulation_steps,
        scoring=_scoring(session),
    )


def load_initial_weights(session: Session, built: Program) -> str | None:
    """Sets the model's weights to the benchmark's initial weights.

    Returns:
        What they are, with their digest; None if all variables keep their initialisers.

    Raises:
        UsageError: the weights don't fit the model, with every name.
    """
    if session.task.initial_weights is None:
        return None
    weights = session.task.initial_weights(session.spec.model, session.data_dir)
    if weights is None:
        return None
    initial_weights.assign(built.model, weights)
    return initial_weights.described(weights)


def warm_up(session: Session, built: Program, *, timed_steps: int = 0) -> float | None:
    """Compiles everything on synthetic batches, before any data is read.

    Args:
        session: the session.
        built: its program.
        timed_steps: further training steps on these batches that are timed.

    Returns:
        Seconds of the fastest timed step; None without any.

    Raises:
        UsageError: the target's metric is not reported.
    """
    training, evaluation = inputs(session, transform=loop.synthetic)
    step_s = loop.warm_up(built, train=iter(training), evaluation=iter(evaluation), timed_steps=timed_steps)
    if built.scoring is None:
        reported: tuple[str, ...] | None = tuple(built.model.get_metrics_result())
    else:
        reported = built.scoring.metrics()
    metric = session.task.quality.metric
    if reported is not None and metric not in reported:
        raise unreported(metric, reported, by=reporter(session))
    return step_s


def clock(session: Session, meter: Meter, whole: plan.Plan) -> MeterCallback:
    """The callback that drives the meter; goes first in the list of callbacks."""

    def block(epoch: int) -> int:
        if session.unit == "epochs":
            return whole.epochs_to_evaluation(epoch)
        return whole.steps_to_evaluation(epoch) * session.spec.global_batch_size

    return MeterCallback(meter, block=block, reporter=reporter(session))


def reporter(session: Session) -> str:
    """What reports the quality."""
    return "the model" if _scorer(session) is None else "the scorer"


def planned(session: Session, *, max_epochs: int | None = None) -> plan.Plan:
    """How long the session trains and when it is evaluated.

    Args:
        session: the parts of the training run.
        max_epochs: fewer epochs than the spec allows, although the schedule of the learning rate spans all of them; the
            last one is evaluated. None trains them all.
    """
    spec = session.spec
    return plan.Plan(
        epochs=plan.epochs(spec, steps_per_epoch=session.steps_per_epoch, max_epochs=max_epochs),
        evaluation_steps=_evaluation_steps(session),
        steps_per_execution=spec.steps_per_execution,
        evaluation_examples=session.data.eval_examples,
        corrupt_examples=spec.data.skip_corrupt * session.workers.workers,
        evaluated_at_start=spec.evaluation.at_start,
    )


def open_inputs(session: Session, whole: plan.Plan) -> tuple[Iterator[Any], Iterator[Any]]:
    """Opens the training and evaluation batches for `loop.fit`; nothing is read before the first batch is requested.

    Building the pipelines takes seconds on several hosts, so open them before the clock starts.
    """
    training, evaluation = inputs(session, evaluation_steps=whole.evaluation_steps)
    return iter(training), iter(evaluation)


def inputs(
    session: Session,
    *,
    evaluation_steps: int = 1,
    transform: Callable[[tf.data.Dataset], tf.data.Dataset] = lambda dataset: dataset,
) -> tuple[loop.Batches, loop.Batches]:
    """The training and evaluation batches for the replicas, both endless; nothing is read yet.

    Args:
        session: the parts of the training run.
        evaluation_steps: global batches in a pass over the evaluation split.
        transform: applied to each host's pipeline.
    """

    def training(context: tf.distribute.InputContext, batch_size: int) -> tf.data.Dataset:
        return transform(session.data.train(_feed(session, context, batch_size, session.seed)))

    def evaluation(context: tf.distribute.InputContext, batch_size: int) -> tf.data.Dataset:
        dataset = transform(session.data.evaluation(_feed(session, context, batch_size, _EVALUATION_FEED_SEED)))
        return loop.passes(dataset, batches=evaluation_steps * _replicas(context))

    batch = _micro_batch(session.spec)
    return (
        loop.distribute(session.strategy, training, global_batch_size=batch),
        loop.distribute(session.strategy, evaluation, global_batch_size=batch),
    )


def _scoring(session: Session) -> HostScoring | None:
    make = _scorer(session)
    if make is None:
        return None
    gather = functools.partial(cluster.gather, session.workers, session.strategy)
    return HostScoring(scorer=make(), gather=gather)


def _scorer(session: Session) -> Callable[[], Scorer] | None:
    """Makes what computes the quality on the host: the data set's, or the task's; None if neither has one."""
    if session.data.scorer is not None:
        return session.data.scorer
    return None if session.task.scorer is None else functools.partial(session.task.scorer, session.spec.model)


def _evaluation_steps(session: Session) -> int:
    """Global batches in which all pipelines yield everything. Their shares may differ, so the total doesn't say it."""
    batch, shares = _micro_batch(session.spec), list[tuple[int, int]]()

    def pipeline(context: tf.distribute.InputContext, batch_size: int) -> tf.data.Dataset:
        dataset = session.data.evaluation(_feed(session, context, batch_size, _EVALUATION_FEED_SEED))
        shares.append((int(dataset.cardinality()), _replicas(context)))
        return dataset

    loop.distribute(session.strategy, pipeline, global_batch_size=batch)
    if any(batches < 0 for batches, _ in shares):  # unknown
        return loop.evaluation_steps(session.data.eval_examples, global_batch_size=batch)
    return max(math.ceil(batches / replicas) for batches, replicas in shares)


def _replicas(context: tf.distribute.InputContext) -> int:
    """The replicas that the pipeline of one host feeds."""
    return int(context.num_replicas_in_sync // context.num_input_pipelines)


def _feed(session: Session, context: tf.distribute.InputContext, batch_size: int, seed: int) -> Feed:
    return Feed(
        batch_size=batch_size,
        pipelines=context.num_input_pipelines,
        index=context.input_pipeline_id,
        seed=seed,
        deterministic=session.spec.deterministic,
        compute_dtype=keras.DTypePolicy(policy(session.spec.precision)).compute_dtype,
        threads=devices.input_threads(session.strategy),
    )


def _micro_batch(spec: specs.TrainSpec) -> int:
    return spec.global_batch_size // spec.gradient_accumulation_steps

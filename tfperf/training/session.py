"""A benchmark on its devices: the program, its batches and its schedule, as one spec asks for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfperf import spec
from tfperf.benchmarks.benchmark import Feed, OpenData, TrainingTask
from tfperf.errors import UsageError
from tfperf.system import devices
from tfperf.training import loop, optimizers

_EVALUATION_FEED_SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """What is trained, where, and on what.

    Attributes:
        spec: complete, with its seed.
        task: how the benchmark is trained.
        strategy: where it runs.
        data: what was found in the data directory.
        seed: of the weights and of the order of the examples.
    """

    spec: spec.TrainSpec
    task: TrainingTask
    strategy: tf.distribute.Strategy
    data: OpenData
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return self.data.train_examples // self.spec.global_batch_size


def check(session: Session) -> None:
    """Refuses a batch that the replicas can't share or the data can't fill.

    Raises:
        UsageError: with what is accepted.
    """
    asked, replicas = session.spec, session.strategy.num_replicas_in_sync
    shares = replicas * asked.gradient_accumulation_steps
    if asked.global_batch_size % shares:
        raise UsageError(
            f"global_batch_size must be a multiple of {shares}, which is {replicas} replicas times "
            f"gradient_accumulation_steps={asked.gradient_accumulation_steps}; got {asked.global_batch_size}."
        )
    if not session.steps_per_epoch:
        raise UsageError(
            f"global_batch_size={asked.global_batch_size} is more than the {session.data.train_examples} training "
            "examples. Set a smaller one."
        )


def set_globals(asked: spec.TrainSpec, *, seed: int) -> None:
    """Sets what Keras and TensorFlow keep for the whole process: precision, seed, determinism."""
    keras.config.set_dtype_policy(asked.precision)
    keras.utils.set_random_seed(seed)
    if asked.deterministic:
        tf.config.experimental.enable_op_determinism()


def program(session: Session) -> loop.Program:
    """The model, built and compiled under the strategy, with its training and evaluation steps."""
    asked = session.spec
    with session.strategy.scope():
        model = session.task.build_model(asked.model)
        optimizer = optimizers.build(
            asked.optimizer,
            steps_per_epoch=session.steps_per_epoch,
            max_epochs=asked.max_epochs,
            precision=asked.precision,
        )
        session.task.compile_model(model, optimizer, asked.model)
    jit = devices.jit_of(session.strategy, asked=asked.jit)
    return loop.build(model, session.strategy, jit=jit, accumulation=asked.gradient_accumulation_steps)


def warm_up(session: Session, built: loop.Program) -> None:
    """Compiles everything on synthetic batches, before any data is read."""
    training, evaluation = inputs(session, shown=loop.synthetic)
    loop.warm_up(built, train=iter(training), evaluation=iter(evaluation))


def fit(
    session: Session,
    built: loop.Program,
    callbacks: Sequence[keras.callbacks.Callback],
    *,
    epochs: int | None = None,
) -> None:
    """Trains until a callback stops it or the epochs are over.

    Args:
        session: what is trained.
        built: what `program` returned.
        callbacks: Keras callbacks, called in this order.
        epochs: fewer than `max_epochs`, which the schedule of the learning rate spans all the same; the last one is
            evaluated. None trains them all.
    """
    asked, last = session.spec, epochs or session.spec.max_epochs
    training, evaluation = inputs(session)
    schedule = loop.Schedule(
        epochs=last,
        steps_per_epoch=session.steps_per_epoch,
        evaluation_steps=loop.evaluation_steps(session.data.eval_examples, global_batch_size=_micro_batch(asked)),
        steps_per_execution=asked.steps_per_execution,
        evaluation_due=lambda epoch: asked.evaluation.due(epoch, max_epochs=last),
    )
    loop.fit(built, schedule, train=iter(training), evaluation=lambda: iter(evaluation), callbacks=callbacks)


def inputs(
    session: Session, *, shown: Callable[[tf.data.Dataset], tf.data.Dataset] = lambda dataset: dataset
) -> tuple[tf.distribute.DistributedDataset, tf.distribute.DistributedDataset]:
    """The training and evaluation batches on their way to the replicas, as `shown`; nothing is read yet."""

    def feed(context: tf.distribute.InputContext, batch_size: int, seed: int) -> Feed:
        return Feed(
            batch_size=batch_size,
            pipelines=context.num_input_pipelines,
            index=context.input_pipeline_id,
            seed=seed,
            deterministic=session.spec.deterministic,
        )

    def training(context: tf.distribute.InputContext, batch_size: int) -> tf.data.Dataset:
        return shown(session.data.train(feed(context, batch_size, session.seed)))

    def evaluation(context: tf.distribute.InputContext, batch_size: int) -> tf.data.Dataset:
        return shown(session.data.evaluation(feed(context, batch_size, _EVALUATION_FEED_SEED)))

    batch = _micro_batch(session.spec)
    return (
        loop.distribute(session.strategy, training, global_batch_size=batch),
        loop.distribute(session.strategy, evaluation, global_batch_size=batch),
    )


def _micro_batch(asked: spec.TrainSpec) -> int:
    return asked.global_batch_size // asked.gradient_accumulation_steps

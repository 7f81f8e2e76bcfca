"""The training loop: steps on the devices, Keras callbacks on the host.

One loop serves every strategy. A device executes `steps_per_execution` steps between two looks of the host; callbacks
see what they would see in `model.fit`, except that the logs of a batch hold the mean loss of the execution alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfperf.errors import TfperfError

Logs = dict[str, float]


class NonFiniteLossError(TfperfError):
    """The loss of a training step was NaN or infinite."""

    exit_code = 4

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(f"The loss of step {step} was {loss}. Lower the learning rate or lengthen the warm-up.")
        self.step = step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A compiled Keras model on its devices.

    Attributes:
        model: compiled under the strategy.
        strategy: where it runs.
        train: (iterator, steps) -> the loss of each of the next `steps` training steps, shape [steps].
        evaluate: (iterator, steps) updates the metrics with the next `steps` batches. Before that the replicas, each of
            which normalises by its own batch, take the mean of their moving statistics.
        predict: iterator -> the predictions for one batch on each replica of this worker.
    """

    model: keras.Model
    strategy: tf.distribute.Strategy
    train: Callable[[Iterator[Any], tf.Tensor], tf.Tensor]
    evaluate: Callable[[Iterator[Any], tf.Tensor], None]
    predict: Callable[[Iterator[Any]], Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long to train and when to look.

    Attributes:
        epochs: at most.
        steps_per_epoch: optimizer steps in an epoch.
        evaluation_steps: batches of the evaluation split.
        steps_per_execution: steps between two looks of the host.
        evaluation_due: epoch, from 1 -> whether it ends with an evaluation.
    """

    epochs: int
    steps_per_epoch: int
    evaluation_steps: int
    steps_per_execution: int = 1
    evaluation_due: Callable[[int], bool] = lambda epoch: True


def build(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    *,
    jit: Literal["step", "gradients", "none"] = "none",
    accumulation: int = 1,
) -> Program:
    """The program of a compiled model.

    Args:
        model: built and compiled in the strategy's scope, with metrics given as objects and without gradient
            accumulation in its optimizer.
        strategy: any tf.distribute strategy but ParameterServerStrategy.
        jit: what XLA compiles: the whole step, forward and backward only, or nothing.
        accumulation: micro-batches whose gradients are averaged in one step. Keras's own accumulation branches on
            the device, which a strategy of several replicas refuses.
    """
    if not model.optimizer.built:  # variables made inside a tf.function fail under several replicas
        with strategy.scope():
            model.optimizer.build(model.trainable_variables)
    loss_metric = next(metric for metric in model.metrics if metric.name == "loss")
    replicas = strategy.num_replicas_in_sync

    def observe(x: Any, y: Any, predictions: Any, weights: Any, loss: Any) -> None:
        examples = tf.shape(tf.nest.flatten(x)[0])[0] if weights is None else tf.reduce_sum(weights)
        loss_metric.update_state(loss * replicas, sample_weight=examples)  # Keras divides the loss by the replicas
        model.compute_metrics(x, y, predictions, sample_weight=weights)

    def differentiate(x: Any, y: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            predictions = model(x, training=True)
            loss = model.compute_loss(x=x, y=y, y_pred=predictions, sample_weight=weights, training=True)
            scaled = model.optimizer.scale_loss(loss)
        return loss, predictions, tape.gradient(scaled, model.trainable_variables)

    if jit == "gradients":
        differentiate = tf.function(differentiate, jit_compile=True)

    def differentiate_and_observe(batch: Any) -> Any:
        x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
        loss, predictions, gradients = differentiate(x, y, weights)
        observe(x, y, predictions, weights, loss)
        return loss, gradients

    def apply(gradients: Any) -> None:
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    def train_step(batch: Any) -> tf.Tensor:
        loss, gradients = differentiate_and_observe(batch)
        apply(gradients)
        return loss

    def evaluate_step(batch: Any) -> None:
        x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
        predictions = model(x, training=False)
        loss = model.compute_loss(x=x, y=y, y_pred=predictions, sample_weight=weights, training=False)
        observe(x, y, predictions, weights, loss)

    def predict_step(batch: Any) -> Any:
        return model(keras.utils.unpack_x_y_sample_weight(batch)[0], training=False)

    sums = _accumulators(model, strategy) if accumulation > 1 else ()

    def accumulate_step(batch: Any) -> tf.Tensor:
        loss, gradients = differentiate_and_observe(batch)
        for total, gradient in zip(sums, gradients, strict=True):
            total.assign_add(tf.convert_to_tensor(gradient) / accumulation)
        return loss / accumulation

    def apply_step() -> None:
        apply([total.read_value() for total in sums])
        for total in sums:
            total.assign(tf.zeros_like(total))

    if jit == "step":
        train_step, accumulate_step, apply_step, evaluate_step, predict_step = (
            tf.function(step, jit_compile=True)
            for step in (train_step, accumulate_step, apply_step, evaluate_step, predict_step)
        )

    def reduced(step: Callable[[Any], tf.Tensor], iterator: Iterator[Any]) -> tf.Tensor:
        loss = strategy.run(step, args=(next(iterator),))
        return tf.cast(strategy.reduce("SUM", loss, axis=None), tf.float32)

    def whole_step(iterator: Iterator[Any]) -> tf.Tensor:
        if accumulation == 1:
            return reduced(train_step, iterator)
        loss = tf.constant(0.0)
        for _ in tf.range(accumulation):
            loss += reduced(accumulate_step, iterator)
        strategy.run(apply_step)
        return loss

    def train(iterator: Iterator[Any], steps: tf.Tensor) -> tf.Tensor:
        losses = tf.TensorArray(tf.float32, size=steps)
        for step in tf.range(steps):
            losses = losses.write(step, whole_step(iterator))
        return losses.stack()

    def average_statistics() -> None:
        context = tf.distribute.get_replica_context()
        for variable in model.non_trainable_variables:
            if keras.backend.is_float_dtype(variable.dtype):  # leaves out the states of seed generators
                variable.assign(context.all_reduce("MEAN", tf.identity(variable.value)))

    def evaluate(iterator: Iterator[Any], steps: tf.Tensor) -> None:
        if replicas > 1:
            strategy.run(average_statistics)
        for _ in tf.range(steps):
            strategy.run(evaluate_step, args=(next(iterator),))

    def predict(iterator: Iterator[Any]) -> Any:
        return strategy.run(predict_step, args=(next(iterator),))

    functions = {step.__name__: tf.function(step) for step in (train, evaluate, predict)}
    return Program(model=model, strategy=strategy, **functions)


def _accumulators(model: keras.Model, strategy: tf.distribute.Strategy) -> tuple[tf.Variable, ...]:
    """Zeros like the trainable variables, one set on each replica."""
    with strategy.scope():
        return tuple(
            tf.Variable(
                tf.zeros(variable.shape, variable.dtype),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
            for variable in model.trainable_variables
        )


def warm_up(program: Program, *, train: Iterator[Any], evaluation: Iterator[Any]) -> None:
    """Compiles training and evaluation on synthetic batches and restores every variable bit for bit.

    Args:
        program: what to compile.
        train: batches like the training data's, from `synthetic`.
        evaluation: batches like the evaluation data's.
    """
    with restored(program):
        program.train(train, tf.constant(1))
        program.evaluate(evaluation, tf.constant(1))


@contextlib.contextmanager
def restored(program: Program) -> Iterator[None]:
    """Restores every variable of the model and its optimizer bit for bit in the end, and resets the metrics."""
    model = program.model
    local = program.strategy.experimental_local_results
    parts = [part for v in (*model.variables, *model.optimizer.variables) for part in local(v.value)]
    before = [part.numpy() for part in parts]
    yield
    for part, value in zip(parts, before, strict=True):
        part.assign(value)
    model.reset_metrics()


def fit(
    program: Program,
    schedule: Schedule,
    *,
    train: Iterator[Any],
    evaluation: Callable[[], Iterator[Any]],
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.callbacks.History:
    """Trains until a callback sets `model.stop_training` or the schedule ends.

    Args:
        program: what `build` returned.
        schedule: how long.
        train: endless distributed batches.
        evaluation: opens the evaluation split anew.
        callbacks: Keras callbacks, called in this order.

    Returns:
        Keras's history of the epochs.

    Raises:
        NonFiniteLossError: a loss was NaN or infinite.
    """
    model = program.model
    params = {"epochs": schedule.epochs, "steps": schedule.steps_per_epoch, "verbose": 0}
    hooks = keras.callbacks.CallbackList(list(callbacks), add_history=True, model=model, **params)
    model.stop_training = False
    hooks.on_train_begin()
    logs: Logs = {}
    for epoch in range(schedule.epochs):
        hooks.on_epoch_begin(epoch)
        logs = _train_epoch(program, schedule, train, hooks, epoch)
        if schedule.evaluation_due(epoch + 1):
            held_out = evaluate(program, evaluation(), steps=schedule.evaluation_steps, hooks=hooks)
            logs |= {f"val_{name}": value for name, value in held_out.items()}
        hooks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    hooks.on_train_end(logs)
    return model.history


def evaluate(
    program: Program, batches: Iterator[Any], *, steps: int, hooks: keras.callbacks.CallbackList | None = None
) -> Logs:
    """The loss and metrics over `steps` batches, as plain numbers by name.

    Examples of weight 0 count in neither.
    """
    hooks = hooks or keras.callbacks.CallbackList(model=program.model)
    hooks.on_test_begin()
    program.model.reset_metrics()
    hooks.on_test_batch_begin(0)
    program.evaluate(batches, tf.constant(steps))
    logs = _results(program.model)
    hooks.on_test_batch_end(steps - 1, logs)
    hooks.on_test_end(logs)
    return logs


def predict(program: Program, batches: Iterator[Any], *, steps: int) -> Any:
    """The predictions for `steps` batches, this worker's share of them, concatenated as NumPy arrays."""
    outputs = [
        part for _ in range(steps) for part in program.strategy.experimental_local_results(program.predict(batches))
    ]
    return tf.nest.map_structure(lambda *parts: np.concatenate([part.numpy() for part in parts]), *outputs)


def distribute(
    strategy: tf.distribute.Strategy,
    pipeline: Callable[[tf.distribute.InputContext, int], tf.data.Dataset],
    *,
    global_batch_size: int,
) -> tf.distribute.DistributedDataset:
    """One pipeline to a host, each feeding its replicas.

    Args:
        strategy: whose replicas share each global batch evenly.
        pipeline: (context, examples in one replica's batch) -> the host's dataset. A finite dataset is filled up with
            zeros, so with examples of weight 0, to the same number of batches on each replica.
        global_batch_size: examples over all replicas.
    """

    def on_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
        dataset = pipeline(context, context.get_per_replica_batch_size(global_batch_size))
        replicas = context.num_replicas_in_sync // context.num_input_pipelines
        return dataset if replicas == 1 else dataset.concatenate(_zeros(dataset).repeat(replicas - 1))

    return strategy.distribute_datasets_from_function(on_host)


def synthetic(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Endless batches of zeros like the dataset's, made without reading it."""
    return _zeros(dataset).repeat()


def evaluation_steps(examples: int, *, global_batch_size: int) -> int:
    """Global batches that hold all examples, the last one filled up."""
    return math.ceil(examples / global_batch_size)


def _train_epoch(
    program: Program, schedule: Schedule, batches: Iterator[Any], hooks: keras.callbacks.CallbackList, epoch: int
) -> Logs:
    program.model.reset_metrics()
    done = 0
    while done < schedule.steps_per_epoch:
        steps = min(schedule.steps_per_execution, schedule.steps_per_epoch - done)
        hooks.on_train_batch_begin(done)
        losses = program.train(batches, tf.constant(steps)).numpy()
        if not np.isfinite(losses).all():
            first = int(np.argmin(np.isfinite(losses)))
            raise NonFiniteLossError(epoch * schedule.steps_per_epoch + done + first + 1, float(losses[first]))
        done += steps
        hooks.on_train_batch_end(done - 1, {"loss": float(losses.mean())})
        if program.model.stop_training:
            break
    return _results(program.model)


def _results(model: keras.Model) -> Logs:
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _zeros(dataset: tf.data.Dataset) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(
        tf.nest.map_structure(lambda part: tf.zeros(part.shape, part.dtype), dataset.element_spec)
    )

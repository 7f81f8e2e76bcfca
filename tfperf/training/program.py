"""A compiled Keras model on its devices: training, evaluation and prediction as TensorFlow functions."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from tfperf.training import clipping, on_each_device, summed_update
from tfperf.training.scoring import HostScoring
from tfperf.training.stacked import Stacking

Jit = Literal["step", "gradients", "none"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A compiled Keras model on its devices.

    Attributes:
        model: compiled under the strategy.
        strategy: the distribution strategy.
        train: (iterator, steps) -> the loss of each of the next `steps` training steps, shape [steps].
        average: replaces the replicas' moving statistics by their mean, since each replica normalises by its own batch.
        evaluate: (iterator, steps) averages, then updates the metrics with the next `steps` batches; returns the number
            of examples in them that count.
        predict: iterator -> (targets, predictions, weights) of one batch on each replica of this worker.
        scoring: computes the quality on the host; None if the model's metrics do.
    """

    model: keras.Model
    strategy: tf.distribute.Strategy
    train: Callable[[Iterator[Any], tf.Tensor], tf.Tensor]
    average: Callable[[], None]
    evaluate: Callable[[Iterator[Any], tf.Tensor], tf.Tensor]
    predict: Callable[[Iterator[Any]], tuple[Any, Any, Any]]
    scoring: HostScoring | None = None


def build(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    *,
    jit: Jit = "none",
    accumulation: int = 1,
    scoring: HostScoring | None = None,
) -> Program:
    """The program of a compiled model.

    Args:
        model: built and compiled in the strategy's scope, with metrics given as objects and without gradient
            accumulation in its optimizer.
        strategy: any tf.distribute strategy but ParameterServerStrategy.
        jit: what XLA compiles: the whole step; on each replica the gradients and on each device the update, with one
            exchange of all gradients between them; or nothing. Evaluation and prediction are compiled with either.
        accumulation: micro-batches whose gradients are averaged in one step. Keras's own accumulation branches on
            the device, which strategies of several replicas don't support.
        scoring: computes the quality on the host; None if the model's metrics do.
    """
    if not model.optimizer.built:  # variables made inside a tf.function fail under several replicas
        with strategy.scope():
            model.optimizer.build(model.trainable_variables)
    with strategy.scope():
        _make_loss_trackers(model)
        steps = _ReplicaSteps(model, replicas=strategy.num_replicas_in_sync, jit=jit, accumulates=accumulation > 1)
    if accumulation == 1:
        one_step = _step(strategy, steps.train)
    else:
        one_step = _accumulated_step(strategy, _Accumulation(steps, strategy, micro_batches=accumulation, jit=jit))
    average = _averaging(model, strategy, jit=jit)
    return Program(
        model=model,
        strategy=strategy,
        train=tf.function(_training(one_step)),
        average=tf.function(average),
        evaluate=tf.function(_evaluation(strategy, steps, average)),
        predict=tf.function(_prediction(strategy, steps.predict)),
        scoring=scoring,
    )


@contextlib.contextmanager
def restored(program: Program) -> Iterator[None]:
    """Restores every variable of the model and its optimizer bit for bit at the end, and resets the metrics."""
    model = program.model
    local = program.strategy.experimental_local_results
    parts = [part for v in (*model.variables, *model.optimizer.variables) for part in local(v.value)]
    before = [part.numpy() for part in parts]
    yield
    for part, value in zip(parts, before, strict=True):
        part.assign(value)
    model.reset_metrics()


class _ReplicaSteps:
    """What one replica does with its batch.

    Attributes:
        train: batch -> loss; updates the weights and the metrics.
        differentiate: batch -> (loss, gradients); updates the metrics. The gradients are stacked if the update is
            compiled by device.
        apply: moves the weights by what `differentiate` returned.
        evaluate: updates the metrics and `counted` with the batch.
        counted: the examples of the evaluation that count, so far.
        predict: the batch's inputs -> predictions.
        stacking: how the gradients are stacked; None if they aren't.
        unconnected: the trainable variables that have no part in the loss, by index; known once `differentiate` was
            traced. They stay as they are, as in Keras.
    """

    def __init__(self, model: keras.Model, *, replicas: int, jit: Jit, accumulates: bool) -> None:
        self.model = model
        self._replicas = replicas
        self._loss_metric = next(metric for metric in model.metrics if metric.name == "loss")
        self.counted = tf.Variable(
            tf.zeros([], tf.int64),
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.SUM,
        )
        self.unconnected: frozenset[int] = frozenset()
        by_device = jit == "gradients" and summed_update.is_possible(model.optimizer, model.trainable_variables)
        self.stacking = Stacking.of(model.trainable_variables) if by_device else None
        # Otherwise the optimizer does, which sees the gradients of all micro-batches together.
        self._clips = by_device or accumulates
        self.differentiate = _compiled(self._stacked if by_device else self._differentiate, jit == "gradients")
        self.apply = self._apply_by_device if by_device else self._apply
        self.train = _compiled(self._train, jit == "step")
        self.evaluate = _compiled(self._evaluate, jit != "none")
        self.predict = _compiled(self._predict, jit != "none")

    def _train(self, batch: Any) -> tf.Tensor:
        loss, gradients = self.differentiate(batch)
        self.apply(gradients)
        return loss

    def _differentiate(self, batch: Any) -> tuple[tf.Tensor, Sequence[Any]]:
        model = self.model
        x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
        with tf.GradientTape() as tape:
            predictions = model(x, training=True)
            loss = model.compute_loss(x=x, y=y, y_pred=predictions, sample_weight=weights, training=True)
            scaled = model.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, model.trainable_variables)
        if self._clips:
            gradients = clipping.of_replica(model.optimizer, gradients, replicas=self._replicas)
        self.unconnected = frozenset(index for index, gradient in enumerate(gradients) if gradient is None)
        self._observe(x, y, predictions, weights, loss)
        return loss, gradients

    def _stacked(self, batch: Any) -> tuple[tf.Tensor, Sequence[tf.Tensor]]:
        assert self.stacking is not None
        loss, gradients = self._differentiate(batch)
        variables = self.model.trainable_variables
        filled = [
            tf.zeros(variable.shape, variable.dtype) if gradient is None else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        return loss, self.stacking.stack(filled)

    def _apply(self, gradients: Sequence[Any]) -> None:
        self.model.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))

    def _apply_by_device(self, vectors: Sequence[tf.Tensor]) -> None:
        sums = tf.distribute.get_replica_context().all_reduce("SUM", list(vectors))
        on_each_device.update(self.model.trainable_variables, self._move, sums)

    def _move(self, *vectors: tf.Tensor) -> None:
        """Moves the weights on one device."""
        assert self.stacking is not None
        pairs = zip(self.stacking.unstack(vectors), self.model.trainable_variables, strict=True)
        connected = [pair for index, pair in enumerate(pairs) if index not in self.unconnected]
        summed_update.apply(self.model.optimizer, *zip(*connected, strict=True))

    def _evaluate(self, batch: Any) -> None:
        x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
        predictions = self.model(x, training=False)
        loss = self.model.compute_loss(x=x, y=y, y_pred=predictions, sample_weight=weights, training=False)
        self._observe(x, y, predictions, weights, loss)
        self.counted.assign_add(_counting(x, weights))

    def _predict(self, inputs: Any) -> Any:
        return self.model(inputs, training=False)

    def _observe(self, x: Any, y: Any, predictions: Any, weights: Any, loss: tf.Tensor) -> None:
        examples = tf.shape(tf.nest.flatten(x)[0])[0] if weights is None else tf.reduce_sum(weights)
        # Keras divides the loss by the replicas.
        self._loss_metric.update_state(loss * self._replicas, sample_weight=examples)
        self.model.compute_metrics(x, y, predictions, sample_weight=weights)


def _make_loss_trackers(model: keras.Model) -> None:
    """Makes the variables in which Keras tracks the loss of each of several outputs.

    Keras makes them with the first batch, in the function that XLA compiles, where it can't.
    """
    outputs, compiled = getattr(model, "output", None), getattr(model, "_compile_loss", None)
    if isinstance(outputs, dict | list | tuple) and compiled is not None and not compiled.built:
        compiled.build(outputs, outputs)  # of the targets only the names matter, when losses are given as objects


def _counting(x: Any, weights: Any) -> tf.Tensor:
    """The examples of a batch whose weight is not 0."""
    if weights is None:
        return tf.shape(tf.nest.flatten(x)[0], tf.int64)[0]
    counting = False
    for part in tf.nest.flatten(weights):
        rows = tf.reshape(part, [tf.shape(part)[0], -1])
        counting = tf.logical_or(counting, tf.reduce_any(rows != 0, axis=1))
    return tf.reduce_sum(tf.cast(counting, tf.int64))


class _Accumulation:
    """The gradients of several micro-batches, averaged on each replica.

    Attributes:
        add: batch -> its share of the step's loss; adds its gradients.
        apply: moves the weights and forgets the gradients.
    """

    def __init__(self, steps: _ReplicaSteps, strategy: tf.distribute.Strategy, *, micro_batches: int, jit: Jit) -> None:
        self.micro_batches = micro_batches
        self._steps = steps
        self._sums = _zeros_on_each_replica(steps, strategy)
        self.add = _compiled(self._add, jit != "none")
        self.apply = _compiled(self._apply, jit == "step")

    def _add(self, batch: Any) -> tf.Tensor:
        loss, gradients = self._steps.differentiate(batch)
        for total, gradient in zip(self._sums, gradients, strict=True):
            if gradient is not None:
                total.assign_add(tf.convert_to_tensor(gradient) / self.micro_batches)
        return loss / self.micro_batches

    def _apply(self) -> None:
        left_out = self._steps.unconnected if self._steps.stacking is None else ()
        self._steps.apply([None if index in left_out else total.read_value() for index, total in enumerate(self._sums)])
        for total in self._sums:
            total.assign(tf.zeros(total.shape, total.dtype))


def _compiled(step: Callable[..., Any], by_xla: bool) -> Callable[..., Any]:
    if not by_xla:
        return step
    compiled = tf.function(step, jit_compile=True)
    # `Strategy.run` would compile a tf.function for all replicas together, whose variables live on several devices.
    return lambda *arguments: compiled(*arguments)


def _zeros_on_each_replica(steps: _ReplicaSteps, strategy: tf.distribute.Strategy) -> tuple[tf.Variable, ...]:
    """Zeros like the gradients, one set on each replica."""
    if steps.stacking is None:
        zeros = [(variable.shape, variable.dtype) for variable in steps.model.trainable_variables]
    else:
        zeros = [((length,), dtype) for dtype, length in steps.stacking.lengths.items()]
    with strategy.scope():
        return tuple(
            tf.Variable(
                tf.zeros(shape, dtype),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
            for shape, dtype in zeros
        )


def _step(
    strategy: tf.distribute.Strategy, replica_step: Callable[[Any], tf.Tensor]
) -> Callable[[Iterator[Any]], tf.Tensor]:
    """iterator -> the loss of the next batch over all replicas."""

    def step(iterator: Iterator[Any]) -> tf.Tensor:
        loss = strategy.run(replica_step, args=(next(iterator),))
        return tf.cast(strategy.reduce("SUM", loss, axis=None), tf.float32)

    return step


def _accumulated_step(
    strategy: tf.distribute.Strategy, accumulation: _Accumulation
) -> Callable[[Iterator[Any]], tf.Tensor]:
    """iterator -> the loss of the next micro-batches over all replicas."""
    add, apply, micro_batches = _step(strategy, accumulation.add), accumulation.apply, accumulation.micro_batches

    def step(iterator: Iterator[Any]) -> tf.Tensor:
        loss = tf.constant(0.0)
        for _ in tf.range(micro_batches):
            loss += add(iterator)
        strategy.run(apply)
        return loss

    return step


def _training(one_step: Callable[[Iterator[Any]], tf.Tensor]) -> Callable[[Iterator[Any], tf.Tensor], tf.Tensor]:
    def train(iterator: Iterator[Any], steps: tf.Tensor) -> tf.Tensor:
        losses = tf.TensorArray(tf.float32, size=steps)
        for step in tf.range(steps):
            losses = losses.write(step, one_step(iterator))
        return losses.stack()

    return train


def _averaging(model: keras.Model, strategy: tf.distribute.Strategy, *, jit: Jit) -> Callable[[], None]:
    # Leaves out the states of seed generators.
    variables = [each for each in model.non_trainable_variables if keras.backend.is_float_dtype(each.dtype)]
    stacking = Stacking.of(variables)

    def stacked() -> tuple[tf.Tensor, ...]:
        return stacking.stack([variable.value for variable in variables])

    def assign(*means: tf.Tensor) -> None:
        for variable, mean in zip(variables, stacking.unstack(means), strict=True):
            variable.assign(mean)

    def average_on_replica() -> None:
        own = tf.function(stacked, jit_compile=jit != "none", autograph=False)()
        means = tf.distribute.get_replica_context().all_reduce("MEAN", list(own))
        on_each_device.update(variables, assign, means, jit_compile=jit != "none")

    def average() -> None:
        if variables and strategy.num_replicas_in_sync > 1:
            strategy.run(average_on_replica)

    return average


def _evaluation(
    strategy: tf.distribute.Strategy, steps_of: _ReplicaSteps, average: Callable[[], None]
) -> Callable[[Iterator[Any], tf.Tensor], tf.Tensor]:
    def reset() -> None:
        steps_of.counted.assign(tf.zeros([], tf.int64))

    def evaluate(iterator: Iterator[Any], steps: tf.Tensor) -> tf.Tensor:
        average()
        strategy.run(reset)
        for _ in tf.range(steps):
            strategy.run(steps_of.evaluate, args=(next(iterator),))
        return strategy.reduce("SUM", strategy.run(steps_of.counted.read_value), axis=None)

    return evaluate


def _prediction(
    strategy: tf.distribute.Strategy, replica_step: Callable[[Any], Any]
) -> Callable[[Iterator[Any]], tuple[Any, Any, Any]]:
    def predict(iterator: Iterator[Any]) -> tuple[Any, Any, Any]:
        # Targets and weights stay outside of what XLA compiles: targets for a scorer may be of any type.
        x, targets, weights = keras.utils.unpack_x_y_sample_weight(next(iterator))
        return targets, strategy.run(replica_step, args=(x,)), weights

    return predict

"""The training loop: steps on the devices, Keras callbacks on the host.

One loop serves every strategy. The devices run `steps_per_execution` steps, one execution, between two callbacks on the
host. Callbacks see what they would see in `model.fit`, except that the logs of a batch hold only the mean loss of that
execution.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tfperf.errors import TfperfError
from tfperf.training.plan import Plan
from tfperf.training.program import Program, restored

Logs = dict[str, float]
Batches: TypeAlias = tf.data.Dataset | tf.distribute.DistributedDataset


class NonFiniteLossError(TfperfError):
    """The loss of a training step was NaN or infinite."""

    exit_code = 4

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(f"The loss of step {step} was {loss}. Lower the learning rate or lengthen the warm-up.")
        self.step = step


class UncountedExamplesError(TfperfError):
    """An evaluation did not count each example once."""

    def __init__(self, counted: int, examples: int) -> None:
        super().__init__(
            f"The evaluation counted {counted:,} examples, the split has {examples:,}. Each must be in one batch of "
            "one pipeline with a weight other than 0, and padding must have weight 0."
        )


def warm_up(program: Program, *, train: Iterator[Any], evaluation: Iterator[Any], timed_steps: int = 0) -> float | None:
    """Compiles training and evaluation on synthetic batches and restores every variable bit for bit.

    Args:
        program: the functions to compile.
        train: batches shaped like the training data, from `synthetic`.
        evaluation: batches shaped like the evaluation data, from `synthetic`.
        timed_steps: further training steps that are timed.

    Returns:
        Seconds of the fastest of the timed steps; None without any.
    """
    with restored(program):
        program.train(train, tf.constant(1)).numpy()
        step_s = min((_step_s(program, train) for _ in range(timed_steps)), default=None)
        if program.scoring is None:
            program.evaluate(evaluation, tf.constant(1))
        else:
            program.average()
            program.predict(evaluation)
    return step_s


def _step_s(program: Program, train: Iterator[Any]) -> float:
    start = time.perf_counter()
    program.train(train, tf.constant(1)).numpy()
    return time.perf_counter() - start


def fit(
    program: Program,
    plan: Plan,
    *,
    train: Iterator[Any],
    evaluation: Iterator[Any],
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.callbacks.History:
    """Trains until a callback sets `model.stop_training` or the plan ends.

    An evaluation before the first epoch happens between `on_train_begin` and the first `on_epoch_begin`, and is not in
    the history. A callback may set `model.stop_training` there, so that no epoch is trained.

    Args:
        program: the model with its compiled functions.
        plan: the epochs to train, with their steps and evaluations.
        train: endless distributed batches.
        evaluation: distributed batches of endless passes over the evaluation split, `plan.evaluation_steps` in each,
            from `passes`. Opening a pipeline for each evaluation would cost time on the clock.
        callbacks: Keras callbacks, called in this order.

    Returns:
        Keras's history of the epochs.

    Raises:
        NonFiniteLossError: a loss was NaN or infinite.
        UncountedExamplesError: an evaluation did not count each example once.
    """
    model = program.model
    params = {"epochs": len(plan.epochs), "steps": max(epoch.steps for epoch in plan.epochs), "verbose": 0}
    hooks = keras.callbacks.CallbackList(list(callbacks), add_history=True, model=model, **params)
    model.stop_training = False
    hooks.on_train_begin()
    logs: Logs = {}
    done = 0
    if plan.evaluated_at_start:
        evaluate(program, evaluation, steps=plan.evaluation_steps, hooks=hooks, plan=plan)
    for number, planned in enumerate(() if model.stop_training else plan.epochs):
        hooks.on_epoch_begin(number)
        executions = _executions(planned.steps, at_most=plan.steps_per_execution)
        logs = _train_epoch(program, executions, train, hooks, done=done)
        done += planned.steps
        if planned.evaluated:
            held_out = evaluate(program, evaluation, steps=plan.evaluation_steps, hooks=hooks, plan=plan)
            logs |= {f"val_{name}": value for name, value in held_out.items()}
        hooks.on_epoch_end(number, logs)
        if model.stop_training:
            break
    hooks.on_train_end(logs)
    return model.history


def evaluate(
    program: Program,
    batches: Iterator[Any],
    *,
    steps: int,
    hooks: keras.callbacks.CallbackList | None = None,
    plan: Plan | None = None,
) -> Logs:
    """The metrics over `steps` batches by name: the model's loss and metrics, or those of a scorer on the host.

    Examples of weight 0 don't count.

    Raises:
        UncountedExamplesError: the number of examples that counted is not that of the plan.
    """
    hooks = hooks or keras.callbacks.CallbackList(model=program.model)
    hooks.on_test_begin()
    program.model.reset_metrics()
    hooks.on_test_batch_begin(0)
    if program.scoring is None:
        counted = int(program.evaluate(batches, tf.constant(steps)))
        logs = _results(program.model)
    else:
        program.average()
        logs, counted = program.scoring.score(each for _ in range(steps) for each in _predicted(program, batches))
    if plan is not None:
        _check_count(counted, plan)
    hooks.on_test_batch_end(steps - 1, logs)
    hooks.on_test_end(logs)
    return logs


def predict(program: Program, batches: Iterator[Any], *, steps: int) -> Any:
    """This worker's share of the predictions for `steps` batches, concatenated as NumPy arrays."""
    outputs = [predictions for _ in range(steps) for _, predictions, _ in _predicted(program, batches)]
    return tf.nest.map_structure(lambda *parts: np.concatenate([part.numpy() for part in parts]), *outputs)


def distribute(
    strategy: tf.distribute.Strategy,
    pipeline: Callable[[tf.distribute.InputContext, int], tf.data.Dataset],
    *,
    global_batch_size: int,
) -> Batches:
    """Batches for the replicas, from one pipeline per host.

    A single replica on a CPU reads the pipeline itself: an iterator that copies each batch to a device would copy it
    within the host's memory, which took 4 % of the processor time of small training steps.

    Args:
        strategy: the strategy, whose replicas share each global batch evenly.
        pipeline: (context, examples in one replica's batch) -> the host's dataset, with a batch for each of its
            replicas in turn.
        global_batch_size: examples over all replicas.
    """

    def on_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
        return pipeline(context, context.get_per_replica_batch_size(global_batch_size))

    if all("CPU" in device for device in strategy.extended.worker_devices) and strategy.num_replicas_in_sync == 1:
        return on_host(tf.distribute.InputContext())
    return strategy.distribute_datasets_from_function(on_host)


def passes(dataset: tf.data.Dataset, *, batches: int) -> tf.data.Dataset:
    """Endless passes over a finite dataset, each filled up with batches of zeros, which have weight 0, or cut.

    Args:
        dataset: batches of one pass.
        batches: batches in a pass, the same for each pipeline, so that all of them begin a pass together.
    """
    return dataset.concatenate(synthetic(dataset)).take(batches).repeat()


def synthetic(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Endless batches of zeros with the shapes and types of the dataset's, made without reading it."""
    zeros = tf.nest.map_structure(lambda part: tf.zeros(part.shape, part.dtype), dataset.element_spec)
    return tf.data.Dataset.from_tensors(zeros).repeat()


def evaluation_steps(examples: int, *, global_batch_size: int) -> int:
    """The number of global batches that hold all examples; the last one may be padded."""
    return math.ceil(examples / global_batch_size)


def _executions(steps: int, *, at_most: int) -> list[int]:
    """The steps of each execution of an epoch."""
    return [min(at_most, steps - done) for done in range(0, steps, at_most)]


def _train_epoch(
    program: Program,
    executions: Sequence[int],
    batches: Iterator[Any],
    hooks: keras.callbacks.CallbackList,
    *,
    done: int,
) -> Logs:
    program.model.reset_metrics()
    step = 0
    for steps in executions:
        hooks.on_train_batch_begin(step)
        losses = program.train(batches, tf.constant(steps)).numpy()
        if not np.isfinite(losses).all():
            bad = int(np.argmin(np.isfinite(losses)))
            raise NonFiniteLossError(done + step + bad + 1, float(losses[bad]))
        step += steps
        hooks.on_train_batch_end(step - 1, {"loss": float(losses.mean())})
        if program.model.stop_training:
            break
    return _results(program.model)


def _check_count(counted: int, plan: Plan) -> None:
    examples = plan.evaluation_examples
    if examples is not None and not examples - plan.corrupt_examples <= counted <= examples:
        raise UncountedExamplesError(counted, examples)


def _predicted(program: Program, batches: Iterator[Any]) -> tuple[tuple[Any, Any, Any], ...]:
    """Predicts the next batch: (targets, predictions, weights) for each replica of this worker."""
    results: tuple[tuple[Any, Any, Any], ...] = program.strategy.experimental_local_results(program.predict(batches))
    return results


def _results(model: keras.Model) -> Logs:
    return {name: float(value) for name, value in model.get_metrics_result().items()}

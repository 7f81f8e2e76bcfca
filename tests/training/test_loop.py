"""The loop trains, evaluates and predicts alike under every strategy, and its warm-up leaves no trace."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.system.test_assembly import addresses
from tfperf import spec
from tfperf.system import devices
from tfperf.training import loop
from tfperf.training import program as programs
from tfperf.training.plan import Plan, PlannedEpoch
from tfperf.training.program import Program
from tfperf.training.scoring import HostScoring

EXAMPLES, EVALUATED, FEATURES, CLASSES, BATCH = 640, 100, 8, 3, 64
STRATEGIES: dict[str, Callable[[], tf.distribute.Strategy]] = {
    "one": lambda: tf.distribute.OneDeviceStrategy("/cpu:0"),
    "mirrored": lambda: devices.strategy_for(spec.Device(kind="cpu", count=2)),
}


def examples() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(EXAMPLES, FEATURES)).astype("float32")
    targets = np.eye(CLASSES, dtype="float32")[np.argmax(inputs @ random.normal(size=(FEATURES, CLASSES)), 1)]
    return inputs, targets


def training(context: tf.distribute.InputContext, batch_size: int) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_tensor_slices(examples())
    return (
        dataset.shard(context.num_input_pipelines, context.input_pipeline_id)
        .repeat()
        .batch(batch_size, drop_remainder=True)
    )


def evaluation(context: tf.distribute.InputContext, batch_size: int) -> tf.data.Dataset:
    inputs, targets = (array[:EVALUATED] for array in examples())
    dataset = tf.data.Dataset.from_tensor_slices((inputs, targets, np.ones(EVALUATED, "float32")))
    filling = tf.data.Dataset.from_tensors((tf.zeros(FEATURES), tf.zeros(CLASSES), tf.zeros(()))).repeat()
    size = -(-EVALUATED // (batch_size * context.num_input_pipelines)) * batch_size
    shared = dataset.shard(context.num_input_pipelines, context.input_pipeline_id)
    return shared.concatenate(filling).take(size).batch(batch_size, drop_remainder=True)


def evaluation_passes(context: tf.distribute.InputContext, batch_size: int) -> tf.data.Dataset:
    steps = loop.evaluation_steps(EVALUATED, global_batch_size=batch_size * context.num_replicas_in_sync)
    replicas = context.num_replicas_in_sync // context.num_input_pipelines
    return loop.passes(evaluation(context, batch_size), batches=steps * replicas)


def make(strategy: tf.distribute.Strategy, *, normalised: bool = True, **built: Any) -> Program:
    keras.utils.set_random_seed(1)
    with strategy.scope():
        layers = [keras.Input((FEATURES,)), keras.layers.Dense(16, activation="relu")]
        if normalised:
            layers += [keras.layers.BatchNormalization(), keras.layers.Dropout(0.1)]
        layers += [keras.layers.Dense(CLASSES, activation="softmax", dtype="float32")]
        model = keras.Sequential(layers)
        model.compile(
            keras.optimizers.SGD(0.1, momentum=0.9),
            keras.losses.CategoricalCrossentropy(reduction="mean_with_sample_weight"),
            weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            jit_compile=False,
        )
    return programs.build(model, strategy, **built)


def batches(program: Program, pipeline: Callable[..., tf.data.Dataset], batch_size: int = BATCH) -> Iterator[Any]:
    return iter(loop.distribute(program.strategy, pipeline, global_batch_size=batch_size))


def warm_up(program: Program, batch_size: int = BATCH) -> None:
    def zeros(pipeline: Callable[..., tf.data.Dataset]) -> Callable[..., tf.data.Dataset]:
        return lambda context, size: loop.synthetic(pipeline(context, size))

    loop.warm_up(
        program,
        train=batches(program, zeros(training), batch_size),
        evaluation=batches(program, zeros(evaluation), batch_size),
    )


class Losses(keras.callbacks.Callback):
    """Keeps the loss of each execution."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, float]] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        self.seen.append((batch, logs["loss"]))


def train(program: Program, *, epochs: int = 2, batch_size: int = BATCH, steps_per_execution: int = 1) -> Losses:
    losses = Losses()
    plan = Plan(
        epochs=(PlannedEpoch(steps=EXAMPLES // BATCH),) * epochs,
        evaluation_steps=loop.evaluation_steps(EVALUATED, global_batch_size=batch_size),
        steps_per_execution=steps_per_execution,
    )
    loop.fit(
        program,
        plan,
        train=batches(program, training, batch_size),
        evaluation=batches(program, evaluation_passes, batch_size),
        callbacks=[losses],
    )
    return losses


@pytest.fixture
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def test_one_replica_on_a_cpu_reads_the_pipeline_without_copying_its_batches(two_cpus: tuple[str, str]) -> None:
    alone, mirrored = (loop.distribute(make(), training, global_batch_size=BATCH) for make in STRATEGIES.values())
    assert isinstance(alone, tf.data.Dataset)
    assert isinstance(mirrored, tf.distribute.DistributedDataset)
    assert next(iter(alone))[0].shape == (BATCH, FEATURES)


@pytest.mark.usefixtures("two_cpus", "precision")
@pytest.mark.parametrize(
    ("name", "jit", "accumulation", "precision"),
    [
        ("one", "none", 1, "float32"),
        ("one", "none", 2, "mixed_bfloat16"),
        ("one", "step", 1, "float32"),
        ("one", "step", 2, "mixed_float16"),
        ("mirrored", "none", 1, "mixed_float16"),
        ("mirrored", "none", 2, "float32"),
        ("mirrored", "gradients", 1, "float32"),
        ("mirrored", "gradients", 2, "mixed_float16"),
    ],
    indirect=["precision"],
)
def test_trains_under_every_strategy_precision_and_compilation(name: str, jit: str, accumulation: int) -> None:
    program = make(STRATEGIES[name](), jit=jit, accumulation=accumulation)
    warm_up(program, BATCH // accumulation)
    train(program, epochs=3, batch_size=BATCH // accumulation, steps_per_execution=4)
    history = program.model.history.history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["val_accuracy"][-1] >= 0.8
    assert int(np.array(program.model.optimizer.iterations.numpy())) == 30
    traces = [part.experimental_get_tracing_count() for part in (program.train, program.evaluate)]
    assert traces == [1, 1], "something was traced again after the warm-up"


@pytest.mark.usefixtures("two_cpus", "precision")
@pytest.mark.parametrize(
    ("name", "precision"), [("one", "float32"), ("mirrored", "mixed_float16")], indirect=["precision"]
)
def test_warm_up_restores_every_variable_bit_for_bit(name: str) -> None:
    program = make(STRATEGIES[name]())
    model = program.model
    with program.strategy.scope():
        model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    before = [np.array(variable.numpy()).tobytes() for variable in variables]
    warm_up(program)
    assert [np.array(variable.numpy()).tobytes() for variable in variables] == before


@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize(
    ("name", "jit"), [("one", "none"), ("mirrored", "none"), ("one", "step"), ("mirrored", "gradients")]
)
def test_evaluation_counts_each_example_once(name: str, jit: str) -> None:
    program = make(STRATEGIES[name](), jit=jit)
    logs = loop.evaluate(program, batches(program, evaluation), steps=2)
    inputs, targets = (array[:EVALUATED] for array in examples())
    predictions = program.model(inputs, training=False)
    losses = keras.losses.categorical_crossentropy(targets, predictions)
    hits = np.argmax(predictions, 1) == np.argmax(targets, 1)
    assert logs["accuracy"] == pytest.approx(np.mean(hits), abs=1e-6)
    assert logs["loss"] == pytest.approx(float(np.mean(losses)), rel=1e-5)
    (counted,) = (variable for variable in program.model.metrics[0].variables if variable.name == "count")
    assert counted.numpy() == EVALUATED


@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize(
    ("name", "jit", "scorer"),
    [("one", "none", False), ("one", "step", False), ("mirrored", "none", False), ("mirrored", "none", True)],
)
def test_an_evaluation_that_does_not_count_each_example_once_ends_the_run(name: str, jit: str, scorer: bool) -> None:
    program = make(STRATEGIES[name](), jit=jit, scoring=HostScoring(scorer=Hits()) if scorer else None)
    plan = Plan(epochs=(PlannedEpoch(steps=1),), evaluation_steps=2, evaluation_examples=EVALUATED)
    for _ in range(2):  # the count starts anew
        loop.evaluate(program, batches(program, evaluation), steps=2, plan=plan)
    too_many = dataclasses.replace(plan, evaluation_examples=EVALUATED + 1)
    message = rf"The evaluation counted {EVALUATED} examples, the split has {EVALUATED + 1}\."
    with pytest.raises(loop.UncountedExamplesError, match=message):
        loop.evaluate(program, batches(program, evaluation), steps=2, plan=too_many)
    corrupt = dataclasses.replace(too_many, corrupt_examples=1)
    loop.evaluate(program, batches(program, evaluation), steps=2, plan=corrupt)
    with pytest.raises(loop.UncountedExamplesError):
        loop.evaluate(
            program,
            batches(program, evaluation),
            steps=2,
            plan=dataclasses.replace(corrupt, evaluation_examples=EVALUATED - 1),
        )


class Hits:
    """A scorer that keeps, for each example, whether its class was right."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []

    def reset(self) -> None:
        self.batches.clear()

    def update(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> None:
        assert {type(part) for part in (targets, predictions, weights)} == {np.ndarray}
        self.batches.append((np.argmax(predictions, 1) == np.argmax(targets, 1))[weights > 0])

    def seen(self) -> bytes:
        return np.concatenate(self.batches).tobytes()

    def result(self, seen: Sequence[bytes]) -> dict[str, float]:
        hits = np.frombuffer(b"".join(seen), bool)
        return {"hits": float(np.sum(hits)), "examples": len(hits)}


@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize(("name", "jit"), [("one", "none"), ("one", "step"), ("mirrored", "gradients")])
def test_a_scorer_on_the_host_sees_each_example_once(name: str, jit: str) -> None:
    program = make(STRATEGIES[name](), jit=jit, scoring=HostScoring(scorer=Hits()))
    warm_up(program)
    for _ in range(2):  # each evaluation starts anew
        logs = loop.evaluate(program, batches(program, evaluation), steps=2)
    inputs, targets = (array[:EVALUATED] for array in examples())
    predictions = program.model(inputs, training=False)
    hits = np.sum(np.argmax(predictions, 1) == np.argmax(targets, 1))
    assert logs == {"hits": hits, "examples": EVALUATED}
    assert program.predict.experimental_get_tracing_count() == 1


@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize(("name", "jit"), [("one", "none"), ("mirrored", "none"), ("mirrored", "gradients")])
def test_predictions_are_the_models(name: str, jit: str) -> None:
    program = make(STRATEGIES[name](), jit=jit)
    predictions = loop.predict(program, batches(program, evaluation), steps=2)
    expected = np.array(program.model(examples()[0][:EVALUATED], training=False))
    np.testing.assert_allclose(predictions[:EVALUATED], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize(("name", "accumulation"), [("mirrored", 1), ("one", 2), ("mirrored", 4)])
def test_shared_and_accumulated_batches_train_like_whole_ones(name: str, accumulation: int) -> None:
    whole = make(STRATEGIES["one"](), normalised=False)
    shared = make(STRATEGIES[name](), normalised=False, accumulation=accumulation)
    expected = train(whole).seen
    found = train(shared, batch_size=BATCH // accumulation).seen
    np.testing.assert_allclose([loss for _, loss in found], [loss for _, loss in expected], rtol=1e-4)
    for own, other in zip(shared.model.trainable_variables, whole.model.trainable_variables, strict=True):
        np.testing.assert_allclose(own.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("two_cpus")
def test_trains_like_keras_fit() -> None:
    ours, theirs = make(STRATEGIES["one"](), normalised=False), make(STRATEGIES["one"](), normalised=False)
    train(ours)
    inputs, targets = examples()
    theirs.model.fit(inputs, targets, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    for own, other in zip(ours.model.trainable_variables, theirs.model.trainable_variables, strict=True):
        np.testing.assert_allclose(own.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("two_cpus")
def test_hooks_fire_once_an_execution_with_its_last_step() -> None:
    losses = train(make(STRATEGIES["one"]()), epochs=1, steps_per_execution=4)
    assert [batch for batch, _ in losses.seen] == [3, 7, 9]


@pytest.mark.usefixtures("two_cpus")
def test_a_loss_that_is_not_finite_ends_training_and_names_the_step() -> None:
    program = make(STRATEGIES["one"](), normalised=False)
    # The targets, since on some processors relu makes 0 of NaN.
    poison = tf.data.Dataset.from_tensors((tf.zeros((BATCH, FEATURES)), tf.fill((BATCH, CLASSES), np.float32("nan"))))

    def spoiled(context: tf.distribute.InputContext, batch_size: int) -> tf.data.Dataset:
        return training(context, batch_size).take(12).concatenate(poison).repeat()

    plan = Plan(epochs=(PlannedEpoch(steps=10),) * 2, evaluation_steps=2, steps_per_execution=5)
    with pytest.raises(loop.NonFiniteLossError) as raised:
        loop.fit(
            program,
            plan,
            train=batches(program, spoiled),
            evaluation=batches(program, evaluation_passes),
        )
    assert raised.value.step == 13
    assert str(raised.value) == "The loss of step 13 was nan. Lower the learning rate or lengthen the warm-up."


@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize("jit", ["none", "gradients"])
def test_replicas_evaluate_with_the_mean_of_their_moving_statistics(jit: str) -> None:
    program = make(STRATEGIES["mirrored"](), jit=jit)
    normalisation = program.model.layers[1]
    parts = program.strategy.experimental_local_results(normalisation.moving_mean.value)
    for value, part in enumerate(parts):
        part.assign(tf.fill(part.shape, float(value)))
    loop.evaluate(program, batches(program, evaluation), steps=1)
    for part in parts:
        np.testing.assert_array_equal(part.numpy(), np.full(16, 0.5, "float32"))


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@pytest.mark.usefixtures("two_cpus")
def test_keras_callbacks_work_as_in_fit(tmp_path: pathlib.Path) -> None:
    program = make(STRATEGIES["mirrored"]())
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_accuracy", save_best_only=True)
    early = keras.callbacks.EarlyStopping(monitor="val_accuracy", min_delta=1.0)
    plan = Plan(epochs=(PlannedEpoch(steps=10),) * 9, evaluation_steps=2)
    history = loop.fit(
        program,
        plan,
        train=batches(program, training),
        evaluation=batches(program, evaluation_passes),
        callbacks=[checkpoint, early, keras.callbacks.CSVLogger(tmp_path / "log.csv")],
    )
    assert len(history.epoch) == 2  # the second was no improvement by 1.0, so EarlyStopping stopped
    assert keras.saving.load_model(tmp_path / "best.keras").predict(examples()[0], verbose=0).shape == (
        EXAMPLES,
        CLASSES,
    )
    assert (tmp_path / "log.csv").read_text(encoding="utf-8").startswith("epoch,accuracy,loss,val_accuracy,val_loss\n")


@pytest.mark.slow
def test_two_workers_train_like_one() -> None:
    hosts = addresses(2)
    workers = [_spawn(hosts, index) for index in range(2)]
    outputs = [worker.communicate(timeout=240) for worker in workers]
    for worker, (_, errors) in zip(workers, outputs, strict=True):
        assert worker.returncode == 0, errors[-3000:]
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in outputs)
    assert first == second
    whole = make(tf.distribute.OneDeviceStrategy("/cpu:0"), normalised=False)
    expected = train(whole, steps_per_execution=4).seen
    np.testing.assert_allclose([loss for _, loss in first["losses"]], [loss for _, loss in expected], rtol=1e-4)
    assert first["val_accuracy"] == pytest.approx(whole.model.history.history["val_accuracy"], abs=1e-6)
    assert first["val_loss"] == pytest.approx(whole.model.history.history["val_loss"], rel=1e-4)


def _spawn(hosts: Sequence[str], index: int) -> subprocess.Popen[str]:
    config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
    return subprocess.Popen(
        [sys.executable, __file__],
        env={**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _work() -> None:
    program = make(tf.distribute.MultiWorkerMirroredStrategy(), normalised=False, jit="gradients")
    warm_up(program)
    losses = train(program, steps_per_execution=4)
    history = program.model.history.history
    print(json.dumps({"losses": losses.seen, "val_loss": history["val_loss"], "val_accuracy": history["val_accuracy"]}))


if __name__ == "__main__":
    _work()

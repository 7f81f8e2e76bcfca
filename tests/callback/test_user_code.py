"""Code of Keras users trains the same model with tfperf as without it: same histories, weights and random numbers."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

import tfperf

EXAMPLES, BATCH = 24, 16  # the last batch has 8
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(EXAMPLES, 4)).astype("float32")
TARGETS = (INPUTS[:, :1] > 0).astype("float32")
HELD_OUT = (INPUTS[:12], TARGETS[:12])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measuring:
    """What the user adds to code for tfperf, or nothing.

    Attributes:
        folder: a directory for this training alone.
        on: whether tfperf measures.
    """

    folder: pathlib.Path
    on: bool

    def callbacks(self, **options: Any) -> list[keras.callbacks.Callback]:
        """The callback, with a target that no evaluation reaches."""
        given = {"monitor": "val_loss", "target": -1.0, **options}
        return [tfperf.MLPerfCallback(self.folder / "runs" / "1", **given)] if self.on else []

    def timing(self) -> list[keras.callbacks.Callback]:
        """The callback without a target."""
        return self.callbacks(monitor=None, target=None)

    def loop(self) -> contextlib.AbstractContextManager[Any]:
        """What a custom loop reports to, or None."""
        return tfperf.measure(self.folder / "runs" / "1") if self.on else contextlib.nullcontext()


# What a training leaves: numbers of any structure, such as histories, and models.
Trained = tuple[Any, ...]
KINDS: dict[str, Callable[[Measuring], Trained]] = {}


def kind(code: Callable[[Measuring], Trained]) -> Callable[[Measuring], Trained]:
    """Adds a kind of user code."""
    KINDS[code.__name__] = code
    return code


def dense(**changes: Any) -> keras.Model:
    """A model whose dropout makes every random number count."""
    layers = [keras.layers.Dense(4, "relu"), keras.layers.Dropout(0.2), keras.layers.Dense(1, "sigmoid")]
    return compiled(keras.Sequential([keras.Input((4,)), *layers]), **changes)


def compiled(model: keras.Model, **changes: Any) -> keras.Model:
    """The model, which runs untraced by default: that is faster here."""
    options = {"optimizer": "adam", "loss": "binary_crossentropy", "metrics": ["accuracy"], "run_eagerly": True}
    model.compile(**{**options, **changes})
    return model


TRACED = {"run_eagerly": False, "jit_compile": False}


def fit(model: keras.Model, callbacks: Any, **changes: Any) -> Trained:
    options = {"x": INPUTS, "y": TARGETS, "validation_data": HELD_OUT, "batch_size": BATCH, "epochs": 2, "verbose": 0}
    return model.fit(callbacks=callbacks, **{**options, **changes}).history, model


def batches() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((INPUTS, TARGETS)).shuffle(EXAMPLES, seed=3).batch(BATCH)


class Pieces(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(index * BATCH, (index + 1) * BATCH)
        return INPUTS[part], TARGETS[part]


def generator() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    while True:
        chosen = np.random.permutation(EXAMPLES)[:BATCH]  # from the global random numbers, as users do
        yield INPUTS[chosen], TARGETS[chosen]


@kind
def sequential(tfp: Measuring) -> Trained:
    model = dense(run_eagerly=False, jit_compile=True)
    return fit(model, tfp.callbacks(), batch_size=EXAMPLES // 2)  # XLA would compile a smaller last batch again


@kind
def functional_with_several_outputs(tfp: Measuring) -> Trained:
    point = keras.Input((4,))
    outputs = {"side": keras.layers.Dense(1, "sigmoid", name="side")(point), "size": keras.layers.Dense(1)(point)}
    model = keras.Model(point, outputs)
    losses = {"side": "binary_crossentropy", "size": "mse"}
    compiled(model, loss=losses, metrics={"side": ["accuracy", keras.metrics.AUC(name="auc")]})
    targets = {"side": TARGETS, "size": INPUTS[:, :1]}
    held_out = (INPUTS[:12], {name: values[:12] for name, values in targets.items()})
    return fit(model, tfp.callbacks(monitor="val_side_auc", target=1.0), y=targets, validation_data=held_out)


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.dropped = keras.layers.Dense(4, "relu"), keras.layers.Dropout(0.2)
        self.last = keras.layers.Dense(1, "sigmoid")

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.last(self.dropped(self.hidden(inputs), training=training))


@kind
def subclassed(tfp: Measuring) -> Trained:
    return fit(compiled(Subclassed()), tfp.callbacks())


class OwnStep(Subclassed):
    def train_step(self, data: Any) -> dict[str, Any]:
        inputs, targets = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(inputs, targets, self(inputs, training=True))
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return {"loss": loss}


@kind
def own_train_step(tfp: Measuring) -> Trained:
    return fit(compiled(OwnStep(), metrics=None), tfp.callbacks(global_batch_size=BATCH))


class Adversaries(keras.Model):
    """A generator and a discriminator, each with its own Adam; the compiled optimizer is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.makes = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])
        self.judges = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        self.makes_adam, self.judges_adam = keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02)
        self.seed = keras.random.SeedGenerator(5)

    def train_step(self, data: Any) -> dict[str, Any]:
        inputs, _ = data
        cross = keras.losses.BinaryCrossentropy(from_logits=True)
        noise = keras.random.normal((tf.shape(inputs)[0], 2), seed=self.seed)
        with tf.GradientTape(persistent=True) as tape:
            real, fake = self.judges(inputs), self.judges(self.makes(noise))
            judged = cross(tf.ones_like(real), real) + cross(tf.zeros_like(fake), fake)
            fooled = cross(tf.ones_like(fake), fake)
        for adam, part, loss in ((self.judges_adam, self.judges, judged), (self.makes_adam, self.makes, fooled)):
            adam.apply(tape.gradient(loss, part.trainable_weights), part.trainable_weights)
        return {"judged": judged, "fooled": fooled}


@kind
def adversaries_with_optimizers_of_their_own(tfp: Measuring) -> Trained:
    model = Adversaries()
    model.compile(run_eagerly=True)
    history, _ = fit(model, tfp.timing(), validation_data=None)
    return history, model.makes, model.judges


@kind
def own_loop_over_train_on_batch(tfp: Measuring) -> Trained:
    model = dense()
    called = keras.callbacks.CallbackList(tfp.timing(), add_history=True, model=model, epochs=2, steps=2)
    called.on_train_begin()
    for epoch in range(2):
        called.on_epoch_begin(epoch)
        for step in range(2):
            part = slice(step * BATCH, (step + 1) * BATCH)
            called.on_train_batch_begin(step)
            logs = model.train_on_batch(INPUTS[part], TARGETS[part], return_dict=True)
            called.on_train_batch_end(step, logs)
        called.on_epoch_end(epoch, logs)
    called.on_train_end()
    return model.history.history, model


@kind
def own_loop_with_a_tf_function(tfp: Measuring) -> Trained:
    model, adam, losses = dense(), keras.optimizers.Adam(), []
    adam.build(model.trainable_variables)

    @tf.function
    def step(inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = keras.ops.mean(keras.losses.binary_crossentropy(targets, model(inputs, training=True)))
        adam.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    with tfp.loop() as run:
        if run is not None:
            run.start(adam)
        for _ in range(2):
            for inputs, targets in batches():
                losses.append(step(inputs, targets).numpy())
                if run is not None:
                    run.step_end(examples=len(inputs), logs={"loss": losses[-1]})
            if run is not None:
                run.evaluated(float(model.evaluate(*HELD_OUT, verbose=0)[1]))
            else:
                model.evaluate(*HELD_OUT, verbose=0)
    return losses, model, adam.iterations


@kind
def two_replicas(tfp: Measuring) -> Trained:
    strategy = tf.distribute.MirroredStrategy(("CPU:0", "CPU:1"), cross_device_ops=tf.distribute.ReductionToOneDevice())
    with strategy.scope():
        model = dense(**TRACED)
    return fit(model, tfp.callbacks())


@kind
def generator_with_steps(tfp: Measuring) -> Trained:
    return fit(dense(), tfp.callbacks(), x=generator(), y=None, batch_size=None, shuffle=False, steps_per_epoch=2)


@kind
def py_dataset_in_threads(tfp: Measuring) -> Trained:
    return fit(dense(), tfp.callbacks(), x=Pieces(workers=2), y=None, batch_size=None)


@kind
def tf_data_that_shuffles(tfp: Measuring) -> Trained:
    return fit(dense(**TRACED), tfp.callbacks(), x=batches(), y=None, batch_size=None, shuffle=False)


@kind
def sample_weights_and_a_split(tfp: Measuring) -> Trained:
    weights = np.linspace(0, 1, EXAMPLES)
    return fit(dense(), tfp.callbacks(), sample_weight=weights, validation_data=None, validation_split=0.25)


@kind
def class_weights(tfp: Measuring) -> Trained:
    return fit(dense(), tfp.callbacks(), class_weight={0: 1.0, 1: 3.0})


@kind
def callbacks_that_steer(tfp: Measuring) -> Trained:
    steering = [
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_delta=10),
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        keras.callbacks.ModelCheckpoint(str(tfp.folder / "best.keras"), monitor="val_accuracy", save_best_only=True),
        keras.callbacks.EarlyStopping(
            monitor="val_loss", min_delta=10, patience=2, restore_best_weights=True, start_from_epoch=1
        ),
    ]
    history, model = fit(dense(), [*tfp.callbacks(), *steering], epochs=8)
    assert len(history["loss"]) == 4, "it stopped early"
    return history, model, keras.saving.load_model(tfp.folder / "best.keras")


class Killed(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


@kind
def restarted_job(tfp: Measuring) -> Trained:
    def job(*others: keras.callbacks.Callback) -> Trained:
        backup = keras.callbacks.BackupAndRestore(str(tfp.folder / "backup"), delete_checkpoint=False)
        return fit(dense(), [*tfp.callbacks(), backup, *others], epochs=4)

    with contextlib.suppress(KeyboardInterrupt):
        job(Killed())
    history, model = job()
    assert len(history["loss"]) == 2, "it went on"
    return history, model


@kind
def callback_list_made_by_hand(tfp: Measuring) -> Trained:
    model = dense()
    return fit(model, keras.callbacks.CallbackList(tfp.callbacks(), model=model, add_history=True))


@kind
def fit_twice_from_a_later_epoch(tfp: Measuring) -> Trained:
    model, callbacks = dense(), tfp.callbacks()
    return *fit(model, callbacks), *fit(model, callbacks, initial_epoch=2, epochs=4)


@kind
def cell_run_again(tfp: Measuring) -> Trained:
    return *fit(dense(), tfp.callbacks()), *fit(dense(), tfp.callbacks())


@kind
def transfer_from_a_file(tfp: Measuring) -> Trained:
    _, model = fit(dense(), tfp.callbacks())
    model.save(tfp.folder / "model.keras")
    found = keras.saving.load_model(tfp.folder / "model.keras")
    found.layers[0].trainable = False
    return fit(compiled(found, optimizer=keras.optimizers.SGD(0.1, momentum=0.9)), tfp.callbacks())


@kind
def mixed_precision_with_loss_scaling(tfp: Measuring) -> Trained:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = dense()
    finally:
        keras.config.set_dtype_policy("float32")
    return fit(model, tfp.callbacks())


@kind
def accumulated_gradients_in_long_executions(tfp: Measuring) -> Trained:
    adam = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(0.1, 8), gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.9
    )
    return fit(dense(optimizer=adam, steps_per_execution=2, **TRACED), tfp.callbacks(), batch_size=8)  # 3 steps


@kind
def evaluation_every_other_epoch(tfp: Measuring) -> Trained:
    return fit(dense(), tfp.callbacks(), epochs=3, validation_freq=2, validation_steps=1)


@kind
def search_with_keras_tuner(tfp: Measuring) -> Trained:
    def build(values: keras_tuner.HyperParameters) -> keras.Model:
        rate = values.Float("rate", 1e-3, 1e-1, sampling="log")
        return dense(optimizer=keras.optimizers.Adam(rate))

    tuner = keras_tuner.RandomSearch(
        build,
        "val_accuracy",
        max_trials=2,
        seed=4,
        directory=str(tfp.folder / "tuner"),
    )
    tuner.search(
        *(INPUTS, TARGETS), validation_data=HELD_OUT, epochs=1, batch_size=BATCH, verbose=0, callbacks=tfp.callbacks()
    )
    trials = [tuner.oracle.trials[name] for name in sorted(tuner.oracle.trials)]
    assert [trial.status for trial in trials] == ["COMPLETED", "COMPLETED"]
    return [(trial.score, trial.hyperparameters.values, trial.metrics.get_config()) for trial in trials], tuner.seed


def left(trained: Trained) -> list[Any]:
    """All numbers that a training left: histories, weights, the optimizer's state."""
    found: list[Any] = []
    for each in trained:
        if isinstance(each, keras.Model):
            found += [keras.ops.convert_to_numpy(variable) for variable in each.variables]
            state = getattr(getattr(each, "optimizer", None), "variables", [])
            found += [keras.ops.convert_to_numpy(variable) for variable in state]
        elif isinstance(each, keras.Variable):
            found.append(keras.ops.convert_to_numpy(each))
        else:
            found.append(each)
    return found


# They differ little from another kind.
NEAR_OTHERS = ("class_weights", "evaluation_every_other_epoch", "tf_data_that_shuffles", "transfer_from_a_file")

OF_TWO_RUNS = (
    "restarted_job",
    "fit_twice_from_a_later_epoch",
    "cell_run_again",
    "transfer_from_a_file",
    "search_with_keras_tuner",
)


@pytest.mark.usefixtures("two_cpus")
@pytest.mark.filterwarnings("ignore:log_dir .* holds another run")
@pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning")  # in keras_tuner
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in NEAR_OTHERS else name for name in KINDS]
)
def test_trains_the_same_with_tfperf_as_without(tmp_path: pathlib.Path, name: str) -> None:
    def train(*, measured: bool) -> list[Any]:
        folder = tmp_path / ("measured" if measured else "plain")
        folder.mkdir()
        keras.backend.clear_session(free_memory=False)  # collecting garbage would take longer than training
        keras.utils.set_random_seed(1)
        trained = KINDS[name](Measuring(folder=folder, on=measured))
        random = (np.random.random(), tf.random.normal(()).numpy(), keras.random.uniform(()).numpy())
        return [*left(trained), random]

    np.testing.assert_equal(train(measured=True), train(measured=False))
    assert len([*(tmp_path / "measured" / "runs").glob("*/result.json")]) == (2 if name in OF_TWO_RUNS else 1)

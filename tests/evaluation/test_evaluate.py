"""Models and data of the kinds that people have are evaluated as they are, and left as they were."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

import tfperf
from tfperf import config, result, spec
from tfperf.compliance import checker
from tfperf.errors import (
    ArgumentError,
    DamagedDataError,
    FailedRequestError,
    MissingDataError,
    TimedOutError,
    UnfitModelError,
    UsageError,
)

QUICK = (spec.WarmUp(iterations=2), spec.Concurrency(streams=(1,), duration_s=0.1))


def quick(**changes) -> spec.EvaluateSpec:
    return spec.EvaluateSpec(**{"phases": QUICK, **changes})


@pytest.fixture
def evaluate(tmp_path: pathlib.Path):
    def run(model, *data, **options):
        options.setdefault("config", quick())
        where = tfperf.Workspace(output_dir=tmp_path / "runs", name="test")
        return tfperf.evaluate(model, *data, workspace=where, **options)

    return run


def images(count: int = 40, classes: int = 3):
    generator = np.random.default_rng(1)
    return generator.random((count, 8, 8, 3), "float32"), generator.integers(0, classes, count)


def classifier(**options):
    import keras

    keras.utils.set_random_seed(1)
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.5), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


def functional_dicts():
    """Two inputs and two outputs by name, as in the functional guide of Keras."""
    import keras

    title, body = keras.Input((4,), name="title"), keras.Input((6,), name="body")
    both = keras.layers.Concatenate()([title, body])
    outputs = {"priority": keras.layers.Dense(1, name="priority")(both)}
    outputs["department"] = keras.layers.Dense(3, activation="softmax", name="department")(both)
    model = keras.Model({"title": title, "body": body}, outputs)
    model.compile(
        loss={"priority": "mse", "department": "sparse_categorical_crossentropy"},
        metrics={"department": ["accuracy"], "priority": ["mae"]},
    )
    x = {"title": np.random.rand(20, 4).astype("float32"), "body": np.random.rand(20, 6).astype("float32")}
    return model, (x, {"priority": np.random.rand(20, 1), "department": np.arange(20) % 3})


def functional_lists():
    import keras

    left, right = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([left, right], keras.layers.Dot(1)([left, right]))
    model.compile(loss="mse", metrics=["mae"])
    x = [np.random.rand(20, 4).astype("float32"), np.random.rand(20, 4).astype("float32")]
    return model, (x, np.random.rand(20, 1))


def subclassed():
    import keras

    class Mine(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = keras.layers.Dense(4, "relu"), keras.layers.Dense(3, "softmax")

        def call(self, x, training=None):
            return self.out(self.hidden(keras.ops.mean(x, axis=(1, 2))))

    model = Mine()
    model(np.zeros((1, 8, 8, 3), "float32"))
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, images()


def of_tf_data():
    import tensorflow as tf

    return classifier(), tf.data.Dataset.from_tensor_slices(images()).batch(16)


def of_py_dataset():
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            x, y = images()
            return x[index * 16 : index * 16 + 16], y[index * 16 : index * 16 + 16]

    return classifier(), Batches()


def of_image_generator():
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    return classifier(), ImageDataGenerator(rescale=1.0, horizontal_flip=True).flow(*images(), batch_size=16)


def of_generator():
    x, y = images()
    return classifier(), ((x[i : i + 16], y[i : i + 16]) for i in range(0, 40, 16))


def with_weights():
    model = classifier(weighted_metrics=["accuracy"])
    return model, (*images(), np.linspace(0, 1, 40))


def text():
    """Strings go in, as in the text classification example of Keras."""
    import keras

    vectorized = keras.layers.TextVectorization(vocabulary=["good", "bad"], output_sequence_length=4)
    inputs = keras.Input((1,), dtype="string")
    hidden = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(5, 4)(vectorized(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(hidden))
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    return model, (np.array([["good"], ["bad"], ["so so"]] * 5, object), np.array([1, 0, 1] * 5))


KINDS = [
    functional_dicts,
    functional_lists,
    subclassed,
    of_tf_data,
    of_py_dataset,
    of_image_generator,
    of_generator,
    with_weights,
    text,
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_evaluated_as_keras_evaluates_it(evaluate, kind) -> None:
    model, data = kind()
    found = evaluate(model, data)
    assert found.valid, found.result.reasons
    (judged,) = found.result.judged
    if kind not in (of_generator, of_image_generator):  # read once; flipped at random
        x, y, *weights = data if isinstance(data, tuple) else (data, None)
        weight = weights[0] if weights else None
        if isinstance(x, np.ndarray) and x.dtype.kind == "O":
            import tensorflow as tf

            x = tf.constant(x)
        theirs = model.evaluate(x, y, sample_weight=weight, batch_size=32, return_dict=True, verbose=0)
        ours = {name: value for name, value in judged.values.items() if name in theirs and name != "loss"}
        assert ours
        assert ours == pytest.approx({name: theirs[name] for name in ours}, rel=1e-4)
    (phase,) = found.result.phases
    assert phase.status == "ended"
    assert phase.requests > 0


def test_a_plain_function_is_evaluated_by_a_metric(evaluate) -> None:
    found = evaluate(lambda x: x.mean(axis=(1, 2)), images(), metrics=["sparse_categorical_accuracy"])
    assert found.valid, found.result.reasons
    x, y = images()
    expected = (x.mean(axis=(1, 2)).argmax(1) == y).mean()
    assert found.result.judged[0].values["sparse_categorical_accuracy"] == pytest.approx(expected)


def test_files_of_models_are_evaluated(evaluate, tmp_path: pathlib.Path) -> None:
    model = classifier()
    model.save(tmp_path / "my.keras")
    model.export(tmp_path / "exported", verbose=False)
    saved = evaluate(tmp_path / "my.keras", images())
    exported = evaluate(str(tmp_path / "exported"), images(), metrics=["accuracy"])
    assert saved.valid and exported.valid
    assert saved.result.notes == ()
    accuracy = saved.result.judged[0].values["accuracy"]
    assert exported.result.judged[0].values["accuracy"] == pytest.approx(accuracy)


def test_nothing_in_the_model_is_changed(evaluate) -> None:
    model, data = classifier(), images()
    model.fit(*data, epochs=1, verbose=0)
    before = [np.array(variable) for variable in (*model.variables, *model.optimizer.variables)]
    state = (model.trainable, model.compiled, model.stop_training, model.run_eagerly, model.metrics_names)
    metrics = [np.array(variable) for metric in model.metrics for variable in metric.variables]
    evaluate(model, data, config=quick(executable=("as_given", "graph-float32")))
    assert [np.array(variable) for metric in model.metrics for variable in metric.variables] == metrics
    assert (model.trainable, model.compiled, model.stop_training, model.run_eagerly, model.metrics_names) == state
    after = [np.array(variable) for variable in (*model.variables, *model.optimizer.variables)]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_forms_and_batch_sizes_are_measured_in_every_combination_and_the_files_agree(evaluate) -> None:
    phases = (spec.WarmUp(iterations=1), spec.OfflineLoad(min_duration_s=0.1), spec.Sustained(duration_s=0.1))
    chosen = quick(
        phases=phases,
        executable=("as_given", "graph-float32"),
        batch_size=(1, 4),
        latency_bound_ms=50.0,
        issuer="tfperf",
        repeats=2,
    )
    found = evaluate(classifier(), images(), config=chosen)
    offline = [phase for phase in found.result.phases if phase.phase == "offline"]
    assert [phase.repeat for phase in offline] == [1, 2] * 4
    cells = [(phase.executable, phase.batch_size) for phase in offline if phase.repeat == 1]
    assert cells == [("as_given", 1), ("as_given", 4), ("graph-float32", 1), ("graph-float32", 4)]
    assert found.result.judged[1].difference == pytest.approx(0, abs=1e-4)
    assert all(phase.samples == phase.requests * phase.batch_size for phase in found.result.phases)
    assert [each.phase for each in found.result.repeats] == ["offline"] * 4  # too few requests for a P99 of Sustained
    assert all(len(each.values) == 2 and each.spread >= 0 for each in found.result.repeats)
    assert result.read(found.run_dir / "result.json") == found.result
    assert config.load_evaluation(str(found.run_dir / "spec.yaml")) == chosen
    (verdict,) = checker.check(found.run_dir)
    assert (verdict.kind, verdict.structure, verdict.division) == ("evaluate", "ok", "internal")
    (found.run_dir / "result.json").write_text((found.run_dir / "result.json").read_text() + " ")
    assert checker.check(found.run_dir)[0].structure == "broken"
    assert found.to_dict()["phases"][0]["phase"] == "offline"
    assert "graph-float32" in str(found)
    assert "offline" in found._repr_html_()


def test_the_pipeline_is_measured_with_each_request(evaluate) -> None:
    model, data = of_tf_data()
    phases = (spec.SingleStreamLoad(min_duration_s=0.1, min_queries=20),)
    found = evaluate(model, data, config=quick(measure="pipeline", phases=phases))
    assert found.valid, found.result.reasons
    (phase,) = found.result.phases
    assert phase.retraced_requests == 1  # the last batch, which is smaller
    assert phase.data_ns and phase.service_ns and phase.data_ns < phase.service_ns
    assert phase.samples > phase.requests
    with pytest.raises(ArgumentError, match="measure: pipeline needs data that is made for each request"):
        evaluate(model, images(), config=quick(measure="pipeline"))


def test_percentiles_without_enough_requests_are_not_given(evaluate) -> None:
    found = evaluate(
        lambda x: x,
        np.zeros((4, 2)),
        config=quick(phases=(spec.ConstantRate(requests_per_s=(1000.0,), duration_s=0.5),)),
    )
    (phase,) = found.result.phases
    assert phase.requests == 500
    assert [each.percentile for each in phase.percentiles] == [50.0, 90.0, 95.0]
    assert found.result.judged[0].values == {}
    assert any("no labels" in note for note in found.result.notes)


def test_answers_with_nan_make_the_result_invalid(evaluate) -> None:
    found = evaluate(lambda x: x * np.nan, np.ones((4, 2), "float32"))
    assert not found.valid
    assert found.result.judged[0].not_finite == 4
    assert found.result.phases[0].not_finite > 0
    with pytest.raises(FailedRequestError, match="not finite"):
        found.raise_for_status()


def test_a_prediction_that_fails_makes_the_result_invalid_and_keeps_what_was_measured(evaluate) -> None:
    calls = []

    def model(x):
        calls.append(1)
        if len(calls) > 50:
            raise RuntimeError("out of luck")
        return x

    found = evaluate(model, np.ones((4, 2), "float32"))
    assert (found.result.status, found.valid) == ("failed", False)
    assert "out of luck" in found.result.reasons[0]
    assert found.result.phases[0].requests > 20
    with pytest.raises(FailedRequestError, match="out of luck"):
        found.raise_for_status()


def test_a_model_that_hangs_is_given_up(evaluate) -> None:
    import threading

    calls, never = [], threading.Event()

    def model(x):
        calls.append(1)
        if len(calls) > 30:
            never.wait(20)
        return x

    found = evaluate(model, np.ones((4, 2), "float32"), config=quick(hang_after_s=0.3))
    never.set()
    assert found.result.status == "failed"
    with pytest.raises(TimedOutError) as raised:
        found.raise_for_status()
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.exit_code == 124


def never_built():
    import keras

    return keras.Sequential([keras.layers.Dense(1)])


@pytest.mark.parametrize(
    ("model", "data", "error", "message"),
    [
        (never_built, lambda: np.ones((2, 2)), UnfitModelError, "was never built: it has no weights yet"),
        (lambda: 3, lambda: np.ones((2, 2)), ArgumentError, "model must be a Keras model, the path of"),
        (lambda: "/nowhere.keras", lambda: np.ones((2, 2)), UsageError, "nowhere.keras"),
        (classifier, lambda: np.ones((2, 8, 8, 4)), UnfitModelError, "the model takes .*8, 8, 3"),
        (classifier, lambda: (np.ones((4, 8, 8, 3)), np.ones(3)), UnfitModelError, "different lengths: 3, 4"),
        (classifier, lambda: np.ones((0, 8, 8, 3)), MissingDataError, "empty"),
        (classifier, lambda: None, MissingDataError, "No data was given"),
        (classifier, lambda: iter(()), MissingDataError, "gives nothing"),
        (classifier, lambda: (1, 2, 3, 4), UnfitModelError, "tuples of 4"),
        (lambda: lambda x: x.sum(), lambda: np.ones((4, 2)), UnfitModelError, "must have one row for each example"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_a_run_directory_is_made(
    evaluate, tmp_path: pathlib.Path, model, data, error, message
) -> None:
    with pytest.raises(error, match=message) as raised:
        evaluate(model(), data())
    assert raised.value.exit_code == 2
    assert not (tmp_path / "runs").exists()


def test_a_metric_without_labels_is_refused(evaluate) -> None:
    with pytest.raises(ArgumentError, match="accuracy compare answers with labels, and the data"):
        evaluate(classifier(), images()[0], config=quick(metrics=("accuracy",)))


def test_data_that_fails_in_the_middle_ends_the_evaluation_with_its_reason(evaluate) -> None:
    import keras

    class Damaged(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            if index == 2:
                raise OSError("image file is truncated")
            return images(16)

    found = evaluate(classifier(), Damaged())
    assert found.result.status == "failed"
    assert "Batch 2 of 3 of the Damaged can't be read: image file is truncated" in found.result.reasons[0]


def test_a_form_that_a_function_cannot_have_is_named(evaluate) -> None:
    found = evaluate(lambda x: x, np.ones((4, 2), "float32"), config=quick(executable=("as_given", "graph-float32")))
    assert not found.valid
    assert "graph-float32 is not available: only a Keras model" in found.result.reasons[0]
    assert found.result.phases[0].executable == "as_given"


@pytest.mark.slow
def test_the_command_line_evaluates_photographs_in_a_folder(tmp_path: pathlib.Path) -> None:
    from PIL import Image

    classifier().save(tmp_path / "my.keras")
    for name in ("cat", "dog", "fox"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng(number).integers(0, 255, (12, 12, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    command = [sys.executable, "-m", "tfperf", "evaluate", "--config=evaluate", f"--model={tmp_path / 'my.keras'}"]
    command += [f"--data_dir={tmp_path / 'photos'}", f"--output_dir={tmp_path / 'runs'}"]
    command += ["--set=phases=[{concurrency: {streams: [1, 2], duration_s: 0.3}}]"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("VALID internal evaluation of my, not an MLPerf result")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("where", ["first", "data", "accuracy"])
def test_what_hangs_before_the_loads_is_given_up_too(evaluate, where: str) -> None:
    import threading

    never = threading.Event()
    calls: list[int] = []

    def model(x):
        calls.append(1)
        if where == "first" or (where == "accuracy" and len(calls) > 3):
            never.wait(20)
        return x

    def batches():
        for number in range(100):
            if where == "data" and number == 2:
                never.wait(20)
            yield np.ones((4, 2), "float32")

    chosen = quick(hang_after_s=0.05)
    try:
        if where == "first":
            with pytest.raises(TimedOutError, match="the first answer of the model took longer than"):
                evaluate(model, batches, config=chosen)
            return
        found = evaluate(model, batches, config=chosen)
    finally:
        never.set()
    assert found.result.status == "failed"
    with pytest.raises(TimedOutError, match="batch 2 of the data"):
        found.raise_for_status()
    assert found.result.judged[0].examples == 8  # kept
    assert not found.result.judged[0].accurate


def test_a_full_disk_ends_the_evaluation_and_keeps_what_was_measured(evaluate, monkeypatch) -> None:
    import errno

    from tfperf.evaluation import run_files

    written = []

    def write(self, step, outcome) -> None:
        written.append(step)
        if step == "phase":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_files.RunFiles, "write", write)
    found = evaluate(lambda x: x, np.ones((4, 2), "float32"))
    assert written == ["started", "accuracy", "phase"]
    assert found.result.status == "failed"
    assert found.result.reasons[0].startswith("nothing more can be written: ")
    assert found.result.phases[0].requests > 0


def test_data_that_fails_is_raised_as_damaged_data(evaluate) -> None:
    def batches():
        yield np.ones((4, 2), "float32"), np.ones(4)
        yield np.ones((4, 2), "float32"), np.ones(3)

    found = evaluate(lambda x: x, batches)
    with pytest.raises(DamagedDataError, match="4 examples and 3 labels"):
        found.raise_for_status()

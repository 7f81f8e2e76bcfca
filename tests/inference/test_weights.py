"""A model comes from a run, a file or a SavedModel, runs no untrusted code, and fits the benchmark."""

import dataclasses
import json
import pathlib
import pickle
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format

from tfperf import benchmarks
from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.benchmarks.resnet50.options import Options
from tfperf.benchmarks.tensor import Tensor
from tfperf.errors import UsageError
from tfperf.inference import load_model, model_check, weights
from tfperf.inference.named_call import named_call
from tfperf.inference.weights import Weights

OPTIONS = Options(image_size=32, blocks=(1,), width=4, classes=5)
SAMPLES = np.random.default_rng(1).normal(size=(3, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def task() -> InferenceTask:
    found = benchmarks.get("resnet50_mini").inference
    assert found is not None
    return found


@pytest.fixture(scope="module")
def model(task: InferenceTask) -> keras.Model:
    """The benchmark's model, with trained-looking batch normalisation."""
    keras.utils.set_random_seed(7)
    built = task.build_model(OPTIONS)
    built.set_weights(
        [np.abs(np.random.default_rng(i).normal(size=w.shape)) for i, w in enumerate(built.get_weights())]
    )
    return built


def loaded(path: pathlib.Path, task: InferenceTask, *, trusted: bool = False) -> keras.Model:
    """The model, as another process would load it."""
    resolved = weights.resolve(Weights(path=path, trusted=trusted), foreign=task.foreign_weights)
    found = load_model.load(pickle.loads(pickle.dumps(resolved)), task, OPTIONS)
    model_check.check(found, task, OPTIONS)
    return found


def image() -> keras.KerasTensor:
    return keras.Input((32, 32, 3))


def pooled(images: keras.KerasTensor, outputs: int = 5) -> keras.KerasTensor:
    return keras.layers.Dense(outputs)(keras.layers.GlobalAveragePooling2D()(images))


@pytest.mark.parametrize("kind", ["run directory", ".keras", ".weights.h5", ".h5", "SavedModel"])
def test_the_same_model_comes_back_from_every_kind(
    kind: str, task: InferenceTask, model: keras.Model, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / f"model{kind}"
    match kind:
        case "run directory":
            path = tmp_path
            model.save(path / "model.keras")
        case ".keras":
            model.save(path)
        case ".weights.h5":
            model.save_weights(path)
        case ".h5":
            with h5py.File(path, "w") as file:
                legacy_h5_format.save_weights_to_hdf5_group(file, model)
        case "SavedModel":
            model.export(path, verbose=False)
    outputs = np.asarray(loaded(path, task)(SAMPLES))
    np.testing.assert_allclose(outputs, np.asarray(model(SAMPLES)), rtol=1e-5, atol=1e-6)


def test_digests_follow_the_content(model: keras.Model, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.weights.h5"
    model.save_weights(path)
    first = weights.resolve(Weights(path=path)).digest
    assert len(first) == 64
    assert weights.resolve(Weights(path=path)).digest == first
    path.write_bytes(path.read_bytes() + b"\0")
    assert weights.resolve(Weights(path=path)).digest != first
    model.export(tmp_path / "saved", verbose=False)
    exported = weights.resolve(Weights(path=tmp_path / "saved"))
    (tmp_path / "saved" / "assets").mkdir(exist_ok=True)
    (tmp_path / "saved" / "assets" / "words.txt").write_text("a")
    assert weights.resolve(Weights(path=tmp_path / "saved")).digest != exported.digest


def test_random_weights_follow_their_seed(task: InferenceTask) -> None:
    sources = [weights.random_weights(seed=seed) for seed in (1, 1, 2)]
    first, again, other = (load_model.load(source, task, OPTIONS).get_weights()[0] for source in sources)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert [source.digest for source in sources] == ["seed 1", "seed 1", "seed 2"]


def test_a_model_in_another_precision_computes_in_float32(task: InferenceTask, tmp_path: pathlib.Path) -> None:
    images = image()
    features = keras.layers.Conv2D(4, 3, dtype="mixed_bfloat16")(images)
    made = keras.Model(images, keras.layers.Activation("softmax", dtype="float32")(pooled(features)))
    made.save(tmp_path / "mixed.keras")
    found = loaded(tmp_path / "mixed.keras", task)
    assert {layer.compute_dtype for layer in found.layers} == {"float32"}
    np.testing.assert_allclose(np.asarray(found(SAMPLES)), np.asarray(made(SAMPLES)), atol=0.02)


def test_the_resnet50_of_keras_applications_takes_the_samples_of_the_benchmark(
    task: InferenceTask, tmp_path: pathlib.Path
) -> None:
    own = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=5)
    path = tmp_path / "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, own)
    source = weights.resolve(Weights(path=path), foreign=task.foreign_weights)
    assert source.kind == "keras_applications"
    assert source.note.startswith("keras.applications' ResNet50 is v1, ")
    pixels = np.random.default_rng(3).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    expected = own(keras.applications.resnet.preprocess_input(pixels.copy()))
    found = loaded(path, task)(pixels - np.array([123.68, 116.78, 103.94], np.float32))
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-3, atol=1e-5)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere.keras", None, "There is no model .*nowhere.keras. Accepted are the directory of a training run"),
        ("model.onnx", b"onnx", "model.onnx is not a model that can be read. Accepted are "),
        ("cut.keras", b"PK\x03\x04", "is not a .keras file, which is a zip archive, or it is truncated"),
        ("cut.h5", b"\x89HDF", "is not an HDF5 file, or it is truncated"),
        ("killed/spec.yaml", b"", "The run directory .*killed holds no model.keras: the run was killed, failed, or"),
        ("lfs.keras", POINTER, r"lfs\.keras is a Git LFS pointer, not the file itself\. Run git lfs pull in its"),
        ("lfs.h5", POINTER, "lfs.h5 is a Git LFS pointer"),
        ("photos/a.jpg", b"", "photos is a directory without a model. Accepted are "),
    ],
)
def test_what_holds_no_model_is_refused(name: str, content: bytes | None, message: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        weights.resolve(Weights(path=tmp_path / name.partition("/")[0]))


def test_a_saved_model_whose_variables_were_not_fetched_is_refused(model: keras.Model, tmp_path: pathlib.Path) -> None:
    model.export(tmp_path / "saved", verbose=False)
    variables = tmp_path / "saved" / "variables" / "variables.data-00000-of-00001"
    variables.write_bytes(POINTER)
    with pytest.raises(UsageError, match=f"{variables} is a Git LFS pointer, not the file itself"):
        weights.resolve(Weights(path=tmp_path / "saved"))


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize(("version", "module"), [("2.21.0", "tf_keras.src.engine.functional"), ("2.15.0", "keras.old")])
def test_a_model_of_keras_2_is_called_that(
    version: str, module: str, trusted: bool, task: InferenceTask, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "old.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        config = {"module": module, "class_name": "Functional", "config": {}, "registered_name": "Functional"}
        archive.writestr("config.json", json.dumps(config))
    found = weights.resolve(Weights(path=path, trusted=trusted))
    with pytest.raises(UsageError, match=rf"was saved by Keras 2 \({version}\), .* SavedModel, model\.export\(DIREC"):
        load_model.load(found, task, OPTIONS)


@pytest.mark.parametrize(
    ("dtype", "shape", "message"),
    [
        (
            "string",
            [None],
            r"takes image as string \(None,\); the benchmark gives image: float32 .* It seems to decode files itself\. "
            "Export a signature that takes float32",
        ),
        (
            "uint8",
            [None, 32, 32, 3],
            r"takes image as uint8 .*; the benchmark gives image: float32 .* takes float32, ",
        ),
        (
            "float32",
            [4, 32, 32, 3],
            r"image as float32 \(4, 32, 32, 3\), so batches of 4 only\. .* export it with None",
        ),
    ],
)
def test_a_signature_that_takes_something_else_says_what_to_export(
    dtype: str, shape: list[int | None], message: str, task: InferenceTask, tmp_path: pathlib.Path
) -> None:
    class Exported(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec(shape, dtype, name="image")])
        def serve(self, image: tf.Tensor) -> tf.Tensor:
            return tf.zeros([tf.shape(image)[0], 5])

    module = Exported()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.serve)
    with pytest.raises(UsageError, match=message):
        loaded(tmp_path / "saved", task)


def test_a_zip_archive_of_something_else_is_refused(task: InferenceTask, tmp_path: pathlib.Path) -> None:
    np.savez(tmp_path / "model.npz", a=np.zeros(1))
    (tmp_path / "model.npz").rename(tmp_path / "model.keras")
    with pytest.raises(UsageError, match=r"holds no Keras model: .*config\.json.* Save it with model\.save\."):
        loaded(tmp_path / "model.keras", task)


def test_a_lambda_runs_only_when_it_is_trusted(task: InferenceTask, tmp_path: pathlib.Path) -> None:
    images = image()
    path = tmp_path / "doubled.keras"
    keras.Model(images, pooled(keras.layers.Lambda(lambda x: 2 * x, output_shape=(32, 32, 3))(images))).save(path)
    with pytest.raises(UsageError) as caught:
        loaded(path, task)
    assert str(caught.value) == (
        f"{path} contains code that is not part of Keras: a lambda. Loading it can run arbitrary code. If you trust "
        "its source, pass --trust_model."
    )
    assert loaded(path, task, trusted=True)(SAMPLES).shape == (3, 5)


def test_a_custom_layer_is_named_and_runs_only_when_it_is_trusted(task: InferenceTask, tmp_path: pathlib.Path) -> None:
    @keras.saving.register_keras_serializable("tests")
    class Doubled(keras.layers.Layer):
        def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
            return 2 * inputs

    images = image()
    path = tmp_path / "custom.keras"
    keras.Model(images, pooled(Doubled()(images))).save(path)
    with pytest.raises(UsageError, match=r"not part of Keras: the class tests>Doubled\. "):
        loaded(path, task)
    assert loaded(path, task, trusted=True)(SAMPLES).shape == (3, 5)
    del keras.saving.get_custom_objects()["tests>Doubled"]
    with pytest.raises(UsageError, match="can't be loaded: TypeError: Could not locate class 'Doubled'"):
        loaded(path, task, trusted=True)


def test_a_custom_loss_does_not_matter(task: InferenceTask, tmp_path: pathlib.Path) -> None:
    def loss(true: keras.KerasTensor, predicted: keras.KerasTensor) -> keras.KerasTensor:
        return keras.ops.mean(true - predicted)

    images = image()
    made = keras.Model(images, pooled(images))
    made.compile("sgd", loss)
    made.save(tmp_path / "compiled.keras")
    assert loaded(tmp_path / "compiled.keras", task)(SAMPLES).shape == (3, 5)


@pytest.mark.parametrize("kind", [".weights.h5", ".h5"])
def test_weights_of_another_model_are_refused_with_the_shapes(
    kind: str, task: InferenceTask, tmp_path: pathlib.Path
) -> None:
    other = task.build_model(dataclasses.replace(OPTIONS, width=8))
    path = tmp_path / f"other{kind}"
    if kind == ".h5":
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, other)
    else:
        other.save_weights(path)
    with pytest.raises(UsageError, match=r"not those of the benchmark's model 'resnet': .*conv1.*\(7, 7, 3, 8\)"):
        loaded(path, task)


def test_a_model_of_another_input_is_refused(task: InferenceTask) -> None:
    larger = task.build_model(dataclasses.replace(OPTIONS, image_size=64))
    with pytest.raises(UsageError) as caught:
        model_check.check(larger, task, OPTIONS)
    assert str(caught.value) == (
        "Input image: the benchmark gives float32 [n, 32, 32, 3], the model takes float32 [n, 64, 64, 3]."
    )
    two = [image(), image()]
    with pytest.raises(UsageError, match=r"takes 2 inputs \(.*\), expected 1: image: float32 \[n, 32, 32, 3\]\."):
        model_check.check(keras.Model(two, pooled(keras.layers.Add()(two))), task, OPTIONS)


def test_a_model_of_another_output_is_refused(task: InferenceTask) -> None:
    images = image()
    with pytest.raises(
        UsageError,
        match=r"^Output probabilities: .* float32 \[n, 5\], the model gives float32 \[n, 7\]\.$",
    ):
        model_check.check(keras.Model(images, pooled(images, 7)), task, OPTIONS)
    with pytest.raises(UsageError, match=r"gives float32 \[n, 6\]\. The extra class is often a background class"):
        model_check.check(keras.Model(images, pooled(images, 6)), task, OPTIONS)
    with pytest.raises(UsageError, match=r"gives 2 outputs \(.*\), expected 1: probabilities: float32 \[n, 5\]\."):
        model_check.check(keras.Model(images, [pooled(images), pooled(images)]), task, OPTIONS)
    with pytest.raises(UsageError, match=r"expects float32 \[n, 5\], the model gives int32 \[n, 5\]\."):
        model_check.check(keras.Model(images, keras.ops.cast(pooled(images), "int32")), task, OPTIONS)


def test_a_model_that_gives_nan_is_refused(task: InferenceTask) -> None:
    images = image()
    made = keras.Model(images, pooled(images))
    made.set_weights([np.full(weight.shape, np.nan) for weight in made.get_weights()])
    with pytest.raises(UsageError, match="not finite for samples of zeros"):
        model_check.check(made, task, OPTIONS)


def test_a_saved_model_of_other_inputs_or_outputs_is_refused(task: InferenceTask, tmp_path: pathlib.Path) -> None:
    images = image()
    two = keras.Model(images, {"first": pooled(images), "second": pooled(images)})
    two.export(tmp_path / "two", verbose=False)
    with pytest.raises(
        UsageError,
        match=r"gives first \[n, 5\], second \[n, 5\]; the benchmark expects probabilities: float32 \[n, 5\]\.",
    ):
        loaded(tmp_path / "two", task)
    narrow = keras.Input((4,))
    keras.Model(narrow, keras.layers.Dense(5)(narrow)).export(tmp_path / "narrow", verbose=False)
    with pytest.raises(UsageError, match=r"serving_default of .*narrow can't be called on image: float32 \[n, 32"):
        loaded(tmp_path / "narrow", task)


def two_inputs(lengths: tuple[int, ...] = (4, 8)) -> InferenceTask:
    """A task of token ids and a mask of variable length, with a score for each token and a label for each sample."""
    found = benchmarks.get("resnet50_mini").inference
    assert found is not None
    return dataclasses.replace(
        found,
        inputs=lambda options: (
            Tensor(name="ids", shape=(None,), dtype="int32"),
            Tensor(name="mask", shape=(None,), dtype="int32"),
        ),
        outputs=lambda options: (Tensor(name="scores", shape=(None,)), Tensor(name="label", shape=(), dtype="int32")),
        lengths=lengths,
    )


def tokens_model(kind: str = "dict") -> keras.Model:
    """The scores are the ids where the mask is 1, the label the number of tokens."""
    ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in ("ids", "mask"))
    scores = keras.layers.Activation("linear", name="scores")(keras.ops.cast(ids * mask, "float32"))
    label = keras.ops.sum(mask, axis=1)
    match kind:
        case "dict":
            return keras.Model({"mask": mask, "ids": ids}, {"scores": scores, "label": label})
        case "list":
            return keras.Model([ids, mask], [scores, label])
    return keras.Model({"mask": mask, "ids": ids}, {"a": {"label": label}, "b": [{"scores": scores}]})


@pytest.mark.parametrize("kind", ["dict", "list", "nested"])
def test_several_inputs_and_outputs_go_by_name(kind: str) -> None:
    task = two_inputs()
    model = tokens_model(kind)
    model_check.check(model, task, OPTIONS)
    ids, mask = np.array([[5, 6, 7]], np.int32), np.array([[1, 1, 0]], np.int32)
    scores, label = named_call(model, task.inputs(OPTIONS), task.outputs(OPTIONS))((ids, mask))
    np.testing.assert_array_equal(scores, [[5, 6, 0]])
    np.testing.assert_array_equal(label, [2])


def test_a_saved_model_of_several_inputs_and_outputs_comes_back(tmp_path: pathlib.Path) -> None:
    tokens_model().export(tmp_path / "tokens", verbose=False)
    task = two_inputs()
    found = loaded(tmp_path / "tokens", task)
    ids, mask = np.array([[5, 6, 7]], np.int32), np.array([[1, 1, 0]], np.int32)
    scores, label = named_call(found, task.inputs(OPTIONS), task.outputs(OPTIONS))((ids, mask))
    np.testing.assert_array_equal(scores, [[5, 6, 0]])
    np.testing.assert_array_equal(label, [2])


def test_names_the_one_of_several_tensors_that_does_not_fit() -> None:
    ids, mask = keras.Input((None,), dtype="int32", name="ids"), keras.Input((None,), name="mask")
    task = two_inputs()
    with pytest.raises(UsageError) as caught:
        model_check.check(keras.Model([ids, mask], [mask, ids]), task, OPTIONS)
    assert (
        str(caught.value) == "Input mask: the benchmark gives int32 [n, length], the model takes float32 [n, length]."
    )
    mask = keras.Input((None,), dtype="int32", name="mask")
    outputs = {"scores": keras.ops.cast(mask, "float32"), "label": keras.ops.cast(ids, "float32")}
    with pytest.raises(UsageError) as caught:
        model_check.check(keras.Model([ids, mask], outputs), task, OPTIONS)
    assert str(caught.value) == "Output label: the benchmark expects int32 [n], the model gives float32 [n, 8]."


def test_resolving_needs_no_tensorflow() -> None:
    program = (
        "import tfperf.inference.weights, sys; print(*sorted({'tensorflow', 'keras', 'h5py'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []

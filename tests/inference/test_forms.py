"""Compiled forms of a tiny model against the model itself."""

import pathlib
from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfperf.benchmarks.tensor import Sample, Tensor, batch_of
from tfperf.errors import UsageError
from tfperf.inference import forms
from tfperf.inference.executable import Bucket
from tfperf.inference.forms import freezing, half_inputs, litert, machine, precision, signature

INPUTS = (Tensor(name="image", shape=(8, 8, 3)),)
OUTPUTS = (Tensor(name="probabilities", shape=(5,)),)
BUCKETS = (Bucket(1), Bucket(4))
HERE = [form for form in forms.FORMS if machine.offered(form) is None]
FLOAT32 = [form for form in HERE if form.endswith("float32")]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Convolutions with batch normalisation whose statistics are not trivial, and a softmax."""
    keras.utils.set_random_seed(1)
    images = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(8, 3, use_bias=False)(images)
    features = keras.layers.BatchNormalization(name="norm")(features)
    features = keras.layers.Conv2D(8, 3, activation="relu")(features)
    features = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(images, keras.layers.Dense(5, activation="softmax", name="probabilities")(features))
    random = np.random.default_rng(1)
    norm = model.get_layer("norm")
    norm.set_weights([random.uniform(0.5, 2, weight.shape) for weight in norm.get_weights()])
    return model


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(16, 8, 8, 3)).astype(np.float32)


def build(form: str, model: keras.Model, directory: pathlib.Path, samples: np.ndarray) -> None:
    calibration = [(sample,) for sample in samples]
    forms.build(form, model, directory, inputs=INPUTS, outputs=OUTPUTS, calibration=calibration)


@pytest.fixture(scope="module")
def opened(
    model: keras.Model, samples: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, forms.Opened]]:
    directory = tmp_path_factory.mktemp("forms")
    for form in HERE:
        build(form, model, directory / form, samples)
    yield {form: forms.open_form(form, directory / form, buckets=BUCKETS, threads=2) for form in HERE}


@pytest.mark.parametrize("form", HERE)
def test_answers_as_the_model_does(
    form: str, opened: dict[str, forms.Opened], model: keras.Model, samples: np.ndarray
) -> None:
    tolerance = 1e-5 if form in FLOAT32 else 0.03
    for size, _ in BUCKETS:
        outputs = answers(opened[form], samples[:size])
        assert outputs.dtype == np.float32
        np.testing.assert_allclose(outputs, np.asarray(model(samples[:size])), atol=tolerance)


@pytest.mark.parametrize("form", HERE)
def test_says_what_it_takes(form: str, opened: dict[str, forms.Opened], samples: np.ndarray) -> None:
    executable = opened[form]
    (encoded,) = executable.encode((samples,))
    assert (executable.form, executable.buckets) == (form, BUCKETS)
    assert (executable.inputs, executable.outputs) == (INPUTS, OUTPUTS)
    assert executable.encoded == (encoded.dtype,) == (np.dtype(np.int8 if form.endswith("-int8") else np.float32),)
    assert encoded.shape == samples.shape


@pytest.mark.parametrize("form", HERE)
def test_traces_nothing_once_it_is_open(form: str, opened: dict[str, forms.Opened], samples: np.ndarray) -> None:
    executable = opened[form]
    before = executable.traces()
    for size in (4, 1, 4, 1):
        answers(executable, samples[:size])
    assert executable.traces() == before


@pytest.mark.parametrize("form", HERE)
def test_outputs_are_the_callers_to_keep(form: str, opened: dict[str, forms.Opened], samples: np.ndarray) -> None:
    first = answers(opened[form], samples[:4])
    kept = first.copy()
    answers(opened[form], samples[4:8])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("form", HERE)
def test_takes_one_more_bucket(
    form: str, opened: dict[str, forms.Opened], samples: np.ndarray, tmp_path: pathlib.Path, model: keras.Model
) -> None:
    build(form, model, tmp_path, samples)
    executable = forms.open_form(form, tmp_path, buckets=[Bucket(2)], threads=1)
    executable.prepare(Bucket(3))
    assert executable.buckets == (Bucket(2), Bucket(3))
    np.testing.assert_allclose(answers(executable, samples[:3]), answers(opened[form], samples[:4])[:3], atol=1e-5)


@pytest.mark.parametrize("form", [form for form in HERE if form.startswith("graph")])
def test_a_graph_is_one_function_of_all_buckets(form: str, opened: dict[str, forms.Opened]) -> None:
    assert opened[form].traces() == 1


@pytest.mark.parametrize("form", [form for form in HERE if not form.startswith("litert")])
def test_instances_of_tensorflow_share_their_weights(form: str, opened: dict[str, forms.Opened]) -> None:
    assert opened[form].another() is opened[form]


@pytest.mark.parametrize(("shared_from_bytes", "interpreters"), [(0, 1), (10**9, 2)])
def test_a_large_litert_model_has_one_interpreter(
    shared_from_bytes: int,
    interpreters: int,
    model: keras.Model,
    samples: np.ndarray,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(litert, "_SHARED_FROM_BYTES", shared_from_bytes)
    build("litert-float32", model, tmp_path, samples)
    executable = forms.open_form("litert-float32", tmp_path, buckets=BUCKETS, threads=1)
    assert isinstance(executable, litert.Interpreters)
    assert len(set(map(id, executable._interpreters.values()))) == interpreters
    for size in (1, 4, 4, 1):
        np.testing.assert_allclose(answers(executable, samples[:size]), np.asarray(model(samples[:size])), atol=1e-5)


def test_int8_stays_within_its_range(opened: dict[str, forms.Opened], samples: np.ndarray) -> None:
    (encoded,) = opened["litert-int8"].encode((samples * 1000,))
    assert (encoded.min(), encoded.max()) == (-128, 127)


def test_folds_batch_normalisation_in_the_graph(
    model: keras.Model, samples: np.ndarray, tmp_path: pathlib.Path
) -> None:
    from tensorflow.core.framework import function_pb2

    build("graph-float32", model, tmp_path, samples)
    library = function_pb2.FunctionDefLibrary.FromString((tmp_path / "functions.pb").read_bytes())
    nodes = [node for function in library.function for node in function.node_def]
    assert nodes and not {node.op for node in nodes if "Norm" in node.op or "Variable" in node.op}


@pytest.mark.parametrize("form", [form for form in HERE if form.startswith("graph")])
def test_large_matrices_stay_outside_while_the_graph_is_optimised(
    form: str, span_model: keras.Model, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs, sizes = [], []
    for large_bytes in (10**9, 1):
        monkeypatch.setattr(freezing, "_LARGE_BYTES", large_bytes)
        graph = freezing.frozen_graph(signature.traced(span_model, TOKENS, SPANS))
        sizes.append((sorted(array.shape for array in graph.weights.values()), graph.definition.ByteSize()))
        forms.build(form, span_model, tmp_path / str(large_bytes), inputs=TOKENS, outputs=SPANS)
        executable = forms.open_form(form, tmp_path / str(large_bytes), buckets=[Bucket(4, 5)], threads=1)
        outputs.append(executable.run(executable.stage(executable.encode(tokens(4, 5)))))
    (nothing, whole), (matrices, rest) = sizes
    assert nothing == [] and matrices == [(16, 2), (16, 3), (16, 16), (50, 16)]
    assert rest < whole - 4 * sum(rows * columns for rows, columns in matrices) + 100 * len(matrices)
    for inside, outside in zip(*outputs, strict=True):
        np.testing.assert_array_equal(inside, outside)


def test_a_model_whose_variables_are_not_only_read_is_frozen_by_tensorflow(tmp_path: pathlib.Path) -> None:
    image = keras.Input((4,), name="image")
    table = keras.Variable(np.eye(4, dtype=np.float32), trainable=False)

    class Looped(keras.layers.Layer):
        def call(self, given: tf.Tensor) -> tf.Tensor:
            return tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, tf.matmul(x, table.value) * 2), (0, given))[1]

    outputs = Looped(name="looped")(image)
    declared = (Tensor(name="image", shape=(4,)),), (Tensor(name="looped", shape=(4,)),)
    build = {"inputs": declared[0], "outputs": declared[1]}
    forms.build("graph-float32", keras.Model(image, outputs), tmp_path, **build)
    executable = forms.open_form("graph-float32", tmp_path, buckets=[Bucket(2)], threads=1)
    assert executable.run(executable.stage((np.ones((2, 4), np.float32),)))[0].tolist() == [[8.0] * 4] * 2


def test_computes_all_but_the_outputs_in_the_precision(model: keras.Model) -> None:
    clone = precision.in_precision(model, "bfloat16")
    dtypes = {layer.name: layer.compute_dtype for layer in clone.layers[1:]}
    assert dtypes.pop("probabilities") == "float32"
    assert set(dtypes.values()) == {"bfloat16"}
    assert [variable.dtype for variable in clone.variables] == ["float32"] * len(clone.variables)


def test_serves_a_model_that_was_trained_in_mixed_precision_in_float32(
    model: keras.Model, samples: np.ndarray, tmp_path: pathlib.Path
) -> None:
    mixed = precision.in_precision(model, "bfloat16")
    build("function-float32", mixed, tmp_path, samples)
    executable = forms.open_form("function-float32", tmp_path, buckets=[Bucket(4)], threads=2)
    np.testing.assert_allclose(answers(executable, samples[:4]), np.asarray(model(samples[:4])), atol=1e-6)


def test_refuses_a_form_that_is_none(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"executable must be auto or one of function-float32, .*, got 'int4'."):
        forms.open_form("int4", tmp_path, buckets=[Bucket(1)], threads=1)


def test_refuses_a_model_with_more_inputs_than_declared(tmp_path: pathlib.Path) -> None:
    ends = [keras.Input((2,), name="left"), keras.Input((2,), name="right")]
    model = keras.Model(ends, keras.layers.Add()(ends))
    two = Tensor(name="left", shape=(2,))
    with pytest.raises(machine.UnavailableError) as raised:
        forms.build("function-float32", model, tmp_path, inputs=(two,), outputs=(two,))
    assert str(raised.value) == "The model takes 2 inputs (left, right), expected 1: left: float32 [n, 2]."


TOKENS = tuple(Tensor(name=name, shape=(None,), dtype="int32") for name in ("ids", "mask"))
SPANS = (*(Tensor(name=name, shape=(None,)) for name in ("start", "end")), Tensor(name="pooled", shape=(3,)))
LENGTHS = (Bucket(1, 8), Bucket(4, 5), Bucket(4, 8))


@pytest.fixture(scope="module")
def span_model() -> keras.Model:
    """Token ids and a mask of any length to a start and an end score for each token and a softmax, in a dict."""
    keras.utils.set_random_seed(3)
    ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in ("ids", "mask"))
    features = keras.layers.Embedding(50, 16, embeddings_initializer="normal")(ids)
    features = keras.layers.Dense(16, activation="gelu")(features)
    features = features * keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1)
    scores = keras.layers.Dense(2, dtype="float32")(features)
    pooled = keras.layers.Dense(3, activation="softmax")(keras.ops.sum(features, axis=1))
    return keras.Model({"mask": mask, "ids": ids}, {"pooled": pooled, "start": scores[..., 0], "end": scores[..., 1]})


def tokens(rows: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(rows * length)
    return (
        random.integers(0, 50, (rows, length), np.int32),
        random.integers(0, 2, (rows, length), np.int32),
    )


@pytest.mark.parametrize("form", HERE)
def test_serves_tensors_of_any_type_and_length(form: str, span_model: keras.Model, tmp_path: pathlib.Path) -> None:
    calibration: list[Sample] = [(ids[0], mask[0]) for ids, mask in (tokens(1, length) for length in (3, 5, 8, 6))]
    forms.build(form, span_model, tmp_path, inputs=TOKENS, outputs=SPANS, calibration=calibration)
    executables = forms.open_forms(form, tmp_path, buckets=LENGTHS, threads=1, instances=2)
    traces = sum(executable.traces() for executable in executables)
    tolerance = 1e-5 if form in FLOAT32 else 0.05
    for executable in executables:
        assert executable.encoded == (np.dtype(np.int32),) * 2
        assert executable.buckets == LENGTHS
        for bucket in (*LENGTHS, *LENGTHS):
            assert bucket.length is not None
            ids, mask = tokens(bucket.batch, bucket.length)
            outputs = executable.run(executable.stage(executable.encode((ids, mask))))
            expected = span_model({"ids": ids, "mask": mask})
            for tensor, output in zip(SPANS, outputs, strict=True):
                assert output.dtype == np.float32
                np.testing.assert_allclose(output, np.asarray(expected[tensor.name]), atol=tolerance)
    assert sum(executable.traces() for executable in executables) == traces


@pytest.mark.parametrize("form", HERE)
def test_padding_changes_nothing_where_the_mask_is_0(
    form: str, span_model: keras.Model, tmp_path: pathlib.Path
) -> None:
    ids, mask = tokens(1, 5)
    samples = [(ids[0], mask[0])]
    forms.build(form, span_model, tmp_path, inputs=TOKENS, outputs=SPANS, calibration=samples)
    executable = forms.open_form(form, tmp_path, buckets=[Bucket(1, 5), Bucket(1, 8)], threads=1)
    short, padded = (
        executable.run(executable.stage(executable.encode(batch_of(samples, TOKENS, length=length))))
        for length in (5, 8)
    )
    np.testing.assert_allclose(padded[0][:, :5], short[0], atol=1e-5 if form in FLOAT32 else 0.05)
    np.testing.assert_allclose(padded[2], short[2], atol=1e-5 if form in FLOAT32 else 0.05)


def test_a_model_with_several_outputs_of_one_shape_keeps_them_apart(tmp_path: pathlib.Path) -> None:
    image = keras.Input((2,), name="image")
    outputs = [keras.layers.Rescaling(scale, name=f"times_{scale}")(image) for scale in (3, 1, 2)]
    model = keras.Model(image, outputs)
    declared = tuple(Tensor(name=f"times_{scale}", shape=(2,)) for scale in (1, 2, 3))
    for form in FLOAT32:
        forms.build(form, model, tmp_path / form, inputs=(Tensor(name="image", shape=(2,)),), outputs=declared)
        executable = forms.open_form(form, tmp_path / form, buckets=[Bucket(1)], threads=1)
        ones = (np.ones((1, 2), np.float32),)
        found = executable.run(executable.stage(ones))
        assert [output.tolist() for output in found] == [[[1.0, 1.0]], [[2.0, 2.0]], [[3.0, 3.0]]]


def test_refuses_int8_without_calibration_samples(model: keras.Model, tmp_path: pathlib.Path) -> None:
    with pytest.raises(machine.UnavailableError, match="there are none"):
        build("litert-int8", model, tmp_path, np.zeros((0, 8, 8, 3), np.float32))


def test_a_graph_that_stays_in_float32_is_unavailable(
    model: keras.Model, samples: np.ndarray, tmp_path: pathlib.Path
) -> None:
    if machine.offered("graph-bfloat16") is None:
        pytest.skip("this processor has bfloat16")
    with pytest.raises(machine.UnavailableError, match="left every operation of the graph in float32"):
        build("graph-bfloat16", model, tmp_path, samples)


def test_float16_is_what_the_host_keeps_and_copies(
    model: keras.Model, samples: np.ndarray, tmp_path: pathlib.Path
) -> None:
    build("xla-float16", model, tmp_path, samples)
    executable = forms.open_form("xla-float16", tmp_path, buckets=BUCKETS, threads=1)
    (encoded,) = executable.encode((samples,))
    assert executable.encoded == (encoded.dtype,) == (np.dtype(np.float16),)
    np.testing.assert_allclose(answers(executable, samples[:4]), np.asarray(model(samples[:4])), atol=0.01)


def test_a_graph_that_takes_float16_and_computes_in_float32_is_not_one_in_float16(
    model: keras.Model, samples: np.ndarray, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(machine.UnavailableError, match="left every operation of the graph in float32, none became"):
        build("graph-float16", model, tmp_path, samples)  # grappler rewrites to float16 for GPUs only


@pytest.mark.parametrize(
    ("precision", "gpus", "dtype"),
    [
        ("float16", 1, "float16"),
        ("bfloat16", 1, "bfloat16"),
        ("bfloat16", 0, "float32"),
        ("float32", 1, "float32"),
        ("int8", 0, "float32"),
    ],
)
def test_only_floats_for_a_gpu_in_half_precision_are_halved(
    precision: str, gpus: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensorflow.config.list_logical_devices", lambda kind: ["GPU"] * gpus)
    ids = Tensor(name="ids", shape=(None,), dtype="int32")
    assert [tensor.dtype for tensor in half_inputs.taken((*INPUTS, ids), precision)] == [dtype, "int32"]


def answers(executable: forms.Opened, samples: np.ndarray) -> np.ndarray:
    (outputs,) = executable.run(executable.stage(executable.encode((samples,))))
    return outputs

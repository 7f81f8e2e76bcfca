"""Compiled forms of a tiny model against the model itself."""

import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import keras
import numpy as np
import pytest

from tfperf.errors import UsageError
from tfperf.inference import forms
from tfperf.inference.forms import machine, precision

SIZES = (1, 4)
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


@pytest.fixture(scope="module")
def opened(
    model: keras.Model, samples: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, forms.Opened]]:
    directory = tmp_path_factory.mktemp("forms")
    for form in HERE:
        forms.build(form, model, directory / form, calibration=samples)
    yield {form: forms.open_form(form, directory / form, batch_sizes=SIZES, threads=2) for form in HERE}


@pytest.mark.parametrize("form", HERE)
def test_answers_as_the_model_does(
    form: str, opened: dict[str, forms.Opened], model: keras.Model, samples: np.ndarray
) -> None:
    tolerance = 1e-5 if form in FLOAT32 else 0.03
    for size in SIZES:
        outputs = answers(opened[form], samples[:size])
        assert outputs.dtype == np.float32
        np.testing.assert_allclose(outputs, np.asarray(model(samples[:size])), atol=tolerance)


@pytest.mark.parametrize("form", HERE)
def test_says_what_it_takes(form: str, opened: dict[str, forms.Opened], samples: np.ndarray) -> None:
    executable = opened[form]
    encoded = executable.encode(samples)
    assert (executable.form, executable.batch_sizes, executable.input_shape) == (form, SIZES, (8, 8, 3))
    assert executable.input_dtype == encoded.dtype == np.dtype(np.int8 if form.endswith("int8") else np.float32)
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
def test_takes_one_more_batch_size(
    form: str, opened: dict[str, forms.Opened], samples: np.ndarray, tmp_path: pathlib.Path, model: keras.Model
) -> None:
    forms.build(form, model, tmp_path, calibration=samples)
    executable = forms.open_form(form, tmp_path, batch_sizes=(2,), threads=1)
    executable.prepare(3)
    assert executable.batch_sizes == (2, 3)
    np.testing.assert_allclose(answers(executable, samples[:3]), answers(opened[form], samples[:4])[:3], atol=1e-5)


def test_int8_stays_within_its_range(opened: dict[str, forms.Opened], samples: np.ndarray) -> None:
    encoded = opened["litert-int8"].encode(samples * 1000)
    assert (encoded.min(), encoded.max()) == (-128, 127)


def test_folds_batch_normalisation_in_the_graph(
    model: keras.Model, samples: np.ndarray, tmp_path: pathlib.Path
) -> None:
    from tensorflow.core.framework import graph_pb2

    forms.build("graph-float32", model, tmp_path, calibration=samples)
    graph = graph_pb2.GraphDef.FromString((tmp_path / "graph.pb").read_bytes())
    assert not {node.op for node in graph.node if "Norm" in node.op or "Variable" in node.op}


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
    forms.build("function-float32", mixed, tmp_path, calibration=samples)
    executable = forms.open_form("function-float32", tmp_path, batch_sizes=(4,), threads=2)
    np.testing.assert_allclose(answers(executable, samples[:4]), np.asarray(model(samples[:4])), atol=1e-6)


def test_refuses_a_form_that_is_none(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"executable must be auto or one of function-float32, .*, got 'int4'."):
        forms.open_form("int4", tmp_path, batch_sizes=(1,), threads=1)


def test_refuses_a_model_with_two_inputs(tmp_path: pathlib.Path) -> None:
    ends = [keras.Input((2,)), keras.Input((2,))]
    model = keras.Model(ends, keras.layers.Add()(ends))
    with pytest.raises(machine.UnavailableError, match="one input and one output, got 2 and 1"):
        forms.build("function-float32", model, tmp_path, calibration=np.zeros((0, 2), np.float32))


def test_refuses_int8_without_calibration_samples(model: keras.Model, tmp_path: pathlib.Path) -> None:
    with pytest.raises(machine.UnavailableError, match="there are none"):
        forms.build("litert-int8", model, tmp_path, calibration=np.zeros((0, 8, 8, 3), np.float32))


def test_a_graph_that_stays_in_float32_is_unavailable(
    model: keras.Model, samples: np.ndarray, tmp_path: pathlib.Path
) -> None:
    if machine.offered("graph-bfloat16") is None:
        pytest.skip("this processor has bfloat16")
    with pytest.raises(machine.UnavailableError, match="left every operation of the graph in float32"):
        forms.build("graph-bfloat16", model, tmp_path, calibration=samples)


def test_float16_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert machine.offered("xla-float16") == "float16 is computed by GPUs, and no NVIDIA GPU is visible here"
    assert machine.offered("xla-float32") is None


def test_freezing_is_counted_into_the_memory() -> None:
    needed = {form: forms.memory_needed_bytes(form, weights_bytes=100_000_000) for form in forms.FORMS}
    assert needed["function-float32"] < needed["graph-float32"] < needed["litert-int8"]
    assert needed["graph-float32"] == 3_800_000_000


def test_sets_threads_and_keeps_what_xla_compiled_in_a_fresh_process(tmp_path: pathlib.Path) -> None:
    program = """
import os, sys, json, pathlib
from tfperf.inference.forms import machine
os.environ.update(machine.environment("xla-float32", pathlib.Path(sys.argv[1])))
machine.set_threads(3)
import tensorflow as tf
tf.function(lambda x: x * 2, jit_compile=True)(tf.ones(3))
print(json.dumps([tf.config.threading.get_intra_op_parallelism_threads(), len(os.listdir(sys.argv[1]))]))
"""
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(found.stdout) == [3, 1]


def answers(executable: forms.Opened, samples: np.ndarray) -> np.ndarray:
    return executable.run(executable.stage(executable.encode(samples)))

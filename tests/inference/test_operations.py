"""A SavedModel whose operations reach outside it is refused before any of them runs."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf

from tfperf import benchmarks
from tfperf.errors import UsageError
from tfperf.inference import load_model, operations
from tfperf.inference.weights import Weights, resolve

SPEC = tf.TensorSpec([None, 4], tf.float32)


def export(folder: pathlib.Path, function: Callable[[Any], Any]) -> pathlib.Path:
    module = tf.Module()
    module.scale = tf.Variable(1.0)
    module.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1.0]), 0.0)

    def call(rows: Any) -> Any:
        return {"output": module.scale * function(rows) + module.table.lookup(tf.constant("a"))}

    module.call = tf.function(call, input_signature=[SPEC])
    tf.saved_model.save(module, str(folder), signatures=module.call)
    return folder


def reads(rows: Any) -> Any:
    return rows + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def reads_in_a_branch(rows: Any) -> Any:
    return tf.cond(tf.reduce_sum(rows) > 0, lambda: reads(rows), lambda: rows)


def writes(rows: Any) -> Any:
    tf.io.write_file("/tmp/written-by-a-model", "x")
    return rows


def calls_python(rows: Any) -> Any:
    return tf.ensure_shape(tf.numpy_function(lambda given: given, [rows], tf.float32), [None, 4])


def prints_to_a_file(rows: Any) -> Any:
    tf.print("x", output_stream="file:///tmp/written-by-a-model")
    return rows


def restores(rows: Any) -> Any:
    return rows + tf.raw_ops.RestoreV2(prefix="/x", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]


def iterates_over_files(rows: Any) -> Any:
    return rows + tf.cast(tf.data.TextLineDataset("/etc/hostname").reduce(0, lambda count, _: count + 1), tf.float32)


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (reads, "ReadFile"),
        (reads_in_a_branch, "ReadFile"),
        (writes, "WriteFile"),
        (calls_python, "PyFunc"),
        (prints_to_a_file, "PrintV2"),
        (restores, "RestoreV2"),
        (iterates_over_files, "TextLineDataset"),
    ],
)
def test_an_operation_that_reaches_outside_is_named(
    function: Callable[[Any], Any], found: str, tmp_path: pathlib.Path
) -> None:
    assert found in operations.unsafe(export(tmp_path / "model", function))


def prints(rows: Any) -> Any:
    tf.print("x")
    return rows * tf.random.normal([4])


def test_what_models_need_is_accepted(tmp_path: pathlib.Path) -> None:
    assert operations.unsafe(export(tmp_path / "model", prints)) == ()
    tokens = keras.Input((10,))
    embedded = keras.layers.LSTM(3)(keras.layers.Embedding(10, 4)(tokens))
    keras.Model(tokens, keras.layers.Dropout(0.5)(embedded)).export(tmp_path / "lstm", verbose=False)
    assert operations.unsafe(tmp_path / "lstm") == ()


def test_a_model_that_reads_files_is_loaded_only_if_trusted(tmp_path: pathlib.Path) -> None:
    path = export(tmp_path / "model", reads)
    task = benchmarks.task("resnet50_mini", "infer")
    found = resolve(Weights(path=path))
    with pytest.raises(UsageError, match=r"can read or write outside the model: ReadFile\. If"):
        load_model.load(found, task, task.options)
    with pytest.raises(UsageError, match="can't be called on image"):  # loaded, and then found to be another model
        load_model.load(dataclasses.replace(found, trusted=True), task, task.options)

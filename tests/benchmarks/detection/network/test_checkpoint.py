"""Checkpoints of the references in PyTorch are served as they are; others are refused by the names of what differs."""

import dataclasses
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import pytest
import safetensors.numpy

from tests.benchmarks.detection.network import pytorch_names
from tests.benchmarks.retinanet.test_model import NAMES as RETINANET_NAMES
from tests.benchmarks.retinanet.test_model import SMALL as SMALL_RETINANET
from tests.benchmarks.ssd.test_model import NAMES as SSD_NAMES
from tests.benchmarks.ssd.test_model import SMALL as SMALL_SSD
from tfperf import benchmarks
from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.errors import UsageError
from tfperf.inference import load_model, weights
from tfperf.inference.weights import FoundModel, Weights

SSD = dataclasses.replace(benchmarks.task("ssd", "infer"), options=SMALL_SSD)
RETINANET = dataclasses.replace(benchmarks.task("retinanet", "infer"), options=SMALL_RETINANET)
Tensors = dict[str, np.ndarray]


def resolve(path: pathlib.Path, task: InferenceTask) -> FoundModel:
    return weights.resolve(Weights(path=path), checkpoints=task.checkpoints)


def filled(task: InferenceTask) -> tuple[keras.Model, Tensors]:
    """A model with drawn weights, and the reference's tensors with them."""
    model = task.build_model(task.options)
    if task is SSD:
        pytorch_names.fill(model, SSD_NAMES, values_of={"loc": 4, "conf": SMALL_SSD.classes + 1})
        return model, pytorch_names.tensors(model, SSD_NAMES)
    pytorch_names.fill(model, RETINANET_NAMES)
    return model, pytorch_names.tensors(model, RETINANET_NAMES)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
@pytest.mark.parametrize("task", [SSD, RETINANET], ids=["ssd", "retinanet"])
def test_the_model_has_the_weights_of_the_checkpoint(task: InferenceTask, suffix: str, tmp_path: pathlib.Path) -> None:
    expected, tensors = filled(task)
    tensors["model.bn1.num_batches_tracked"] = np.array(3)
    path = tmp_path / f"model{suffix}"
    if suffix == ".npz":
        np.savez(path, **tensors)
    else:
        safetensors.numpy.save_file(tensors, path)
    found = resolve(path, task)
    assert (found.kind, len(found.digest)) == ("checkpoint", 64)
    model = load_model.load(found, task, task.options)
    for variable, right in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(variable, right, err_msg=variable.path)


def without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("backbone.fpn.extra_blocks.p7.bias"), "Missing: backbone.fpn.extra_blocks.p7.bias. Choose"),
        (
            lambda tensors: {**tensors, "head.mask.weight": np.ones(2, np.float32)},
            "Not of this network: head.mask.weight. Choose",
        ),
        (
            lambda tensors: {**tensors, "backbone.body.bn1.weight": np.ones(9, np.float32)},
            "Wrong shape: backbone.body.bn1.weight (got (9,), expected (8,)). Choose",
        ),
        (
            lambda tensors: {**tensors, "backbone.body.bn1.weight": np.full(8, np.nan, np.float32)},
            "has values that are not finite. Choose another file.",
        ),
    ],
)
def test_names_what_does_not_fit(change: Callable[[Tensors], Tensors], message: str, tmp_path: pathlib.Path) -> None:
    safetensors.numpy.save_file(change(filled(RETINANET)[1]), tmp_path / "model.safetensors")
    found = resolve(tmp_path / "model.safetensors", RETINANET)
    with pytest.raises(UsageError) as caught:
        load_model.load(found, RETINANET, RETINANET.options)
    assert message in str(caught.value)

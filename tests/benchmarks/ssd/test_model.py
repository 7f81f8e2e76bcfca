"""SSD against the reference in PyTorch, with the same weights; see `reference_oracle`."""

import dataclasses
import math
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.detection import drawn
from tests.benchmarks.detection.network import drawn_weights, pytorch_names
from tfperf.benchmarks.detection import detections
from tfperf.benchmarks.detection.default_boxes import default_corners
from tfperf.benchmarks.detection.network import packing
from tfperf.benchmarks.ssd import model as ssd
from tfperf.benchmarks.ssd.options import SsdOptions

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "ssd_outputs.npz"
SMALL = SsdOptions(
    image_size=64,
    blocks=(1, 1, 1),
    width=8,
    classes=4,
    extra_widths=(32, 32),
    extra_strides=(2, 1),
    steps=(8, 16, 32),
    scales=(8, 16, 32, 64),
    ratios=((2,), (2, 3), ()),
)
# Layers here -> modules of the reference.
NAMES = (
    ("conv1", "model.layer1.0"),
    ("bn1", "model.layer1.1"),
    ("layer1_(.)_((conv|bn).)", r"model.layer1.4.\1.\2"),
    ("layer2_(.)_((conv|bn).)", r"model.layer1.5.\1.\2"),
    ("layer2_(.)_downsample_conv", r"model.layer1.5.\1.downsample.0"),
    ("layer2_(.)_downsample_bn", r"model.layer1.5.\1.downsample.1"),
    ("layer3_(.)_((conv|bn).)", r"model.layer2.0.\1.\2"),
    ("layer3_(.)_downsample_conv", r"model.layer2.0.\1.downsample.0"),
    ("layer3_(.)_downsample_bn", r"model.layer2.0.\1.downsample.1"),
    ("extra(.)_reduce", r"additional_blocks.\1.0"),
    ("extra(.)", r"additional_blocks.\1.2"),
    ("(loc|conf)(.)", r"\1.\2"),
)


@pytest.fixture(scope="module")
def full() -> keras.Model:
    keras.utils.set_random_seed(0)
    return ssd.network(SsdOptions())


@pytest.fixture(scope="module")
def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    return ssd.network(SMALL)


def test_starts_from_the_reference_s_distributions(full: keras.Model) -> None:
    for layer in full.layers:
        if not isinstance(layer, keras.layers.Conv2D):
            continue
        kernel = layer.kernel.numpy()
        rows, columns, channels, filters = kernel.shape
        if layer.use_bias:  # Xavier's uniform distribution, and PyTorch's default for the bias
            bound = math.sqrt(6 / (rows * columns * (channels + filters)))
            assert 0.99 * bound < np.abs(kernel).max() <= bound
            bias, bound = layer.bias.numpy(), 1 / math.sqrt(rows * columns * channels)
            assert 0.7 * bound < np.abs(bias).max() <= bound
        else:  # He's normal distribution by the filters
            assert kernel.std() == pytest.approx(math.sqrt(2 / (rows * columns * filters)), rel=0.05)


def test_batch_normalisation_is_pytorch_s(full: keras.Model) -> None:
    norms = [layer for layer in full.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 29
    assert {(norm.momentum, norm.epsilon, norm.trainable) for norm in norms} == {(0.9, 1e-5, True)}


def test_equals_the_reference(full: keras.Model) -> None:
    with np.load(GOLDEN) as golden:
        boxes, parameters, statistics = (int(golden[name]) for name in ("boxes", "parameters", "statistics"))
        expected = {name: golden[name] for name in ("offsets", "logits")}
    assert sum(math.prod(variable.shape) for variable in full.trainable_variables) == parameters == 19_972_534
    assert sum(math.prod(variable.shape) for variable in full.non_trainable_variables) == statistics
    pytorch_names.fill(full, NAMES, values_of={"loc": 4, "conf": 81})
    found = full(drawn_weights.images(1, 300), training=False)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].shape == (1, boxes, values.shape[-1])
        kept = found[name].numpy()[:, drawn_weights.some_rows(boxes)]
        np.testing.assert_allclose(kept, values, atol=1e-5 * np.ptp(values), rtol=0)


def test_the_loss_of_matched_objects_is_the_reference_s() -> None:
    objects, images = drawn.objects(), slice(0, 2)
    classes = np.where(objects.valid, objects.classes - 1, -1)[images]
    targets = np.concatenate((objects.boxes[images], classes[..., None].astype("float32")), axis=-1)
    predicted = np.concatenate(drawn.raw(8732, 81, seed=5, mean=0.0), axis=-1)
    with np.load(GOLDEN) as golden:
        np.testing.assert_allclose(ssd.SsdLoss(SsdOptions()).call(targets, predicted), golden["losses"], rtol=1e-5)


def test_an_image_without_objects_has_no_loss() -> None:
    rows = sum(grid**2 * count for grid, count in zip(SMALL.grids, SMALL.boxes_per_cell, strict=True))
    predicted = np.ones((2, rows, 4 + 5), np.float32)
    padding = np.array([[[0, 0, 0, 0, -1]], [[0.5, 0.5, 0.5, 0.7, 1]]], np.float32)  # the other has no area
    assert ssd.SsdLoss(SMALL).call(padding, predicted).numpy().tolist() == [0, 0]


def test_detects_what_it_predicts_and_joins_predictions_for_the_loss(small: keras.Model) -> None:
    model, images = ssd.build(SMALL), drawn_weights.images(2, 64)
    assert model.output.shape == (None, 200, 6)
    for variable, value in zip(model.weights, small.weights, strict=True):
        variable.assign(value)
    predicted = {name: values.numpy() for name, values in small(images, training=False).items()}
    predicted["logits"][:, :, 1:] += 3
    joined = ssd.SsdOutput(options=vars(SMALL), dtype="float32")(**predicted, training=True)
    np.testing.assert_array_equal(joined, np.concatenate(list(predicted.values()), axis=-1))
    rows = ssd.SsdOutput(options=vars(SMALL), dtype="float32")(**predicted)
    expected = detections.ssd_detections(predicted["offsets"], predicted["logits"], default_corners(ssd.layout(SMALL)))
    found = packing.unpacked(rows.numpy())
    assert found.count.min() > 0
    np.testing.assert_array_equal(found.count, expected.count)
    for image, count in enumerate(found.count):
        for ours, theirs in zip(found[:3], expected[:3], strict=True):
            np.testing.assert_array_equal(ours[image, :count], theirs[image, :count])


def test_a_small_one_has_the_rows_that_its_options_say(small: keras.Model) -> None:
    assert SMALL.grids == (8, 4, 2)
    rows = 8 * 8 * 4 + 4 * 4 * 6 + 2 * 2 * 2
    assert {name: output.shape for name, output in small.output.items()} == {
        "offsets": (None, rows, 4),
        "logits": (None, rows, 5),
    }


def test_rows_go_shape_by_shape_then_cell_by_cell(small: keras.Model) -> None:
    predicted = keras.Model(small.input, small.get_layer("loc1").output)
    images = drawn_weights.images(2, 64)
    of_cells = predicted(images, training=False).numpy().reshape(2, 4, 4, 6, 4)
    rows = small(images, training=False)["offsets"].numpy()[:, 256 : 256 + 96].reshape(2, 6, 4, 4, 4)
    np.testing.assert_array_equal(rows, of_cells.transpose(0, 3, 1, 2, 4))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_compiled_forms_equal_the_eager_model(small: keras.Model, jit_compile: bool) -> None:
    images = drawn_weights.images(2, 64)
    compiled = tf.function(lambda taken: small(taken, training=False), jit_compile=jit_compile)
    expected = small(images, training=False)
    for name, values in compiled(images).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5)


def test_predicts_in_float32_whatever_it_computes_in() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = ssd.network(SMALL)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("layer1_0_conv1").compute_dtype == "bfloat16"
    assert {output.dtype for output in model.output.values()} == {"float32"}


def test_is_the_same_after_saving(tmp_path: pathlib.Path) -> None:
    keras.utils.set_random_seed(2)
    model, images = ssd.build(SMALL), drawn_weights.images(1, 64)
    model.save(tmp_path / "ssd.keras")
    again = keras.models.load_model(tmp_path / "ssd.keras")
    for training in (False, True):
        np.testing.assert_array_equal(again(images, training=training), model(images, training=training))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": (1, 1)}, "blocks must be 3 positive counts, got (1, 1)."),
        ({"extra_strides": (2, 3)}, "extra_strides must be 2 times 1 or 2, one for each of extra_widths, got (2, 3)."),
        ({"scales": (8, 16)}, "scales must be 4 numbers above 0, one for each map and one more, got (8, 16)."),
        ({"ratios": ((2,),)}, "ratios must be 3 tuples of numbers above 0, one for each map, got ((2,),)."),
        (
            {"image_size": 32},
            "extra_strides must be such that each map has a cell at image_size=32; the maps would have (4, 2, 0) rows, "
            "got (2, 1).",
        ),
    ],
)
def test_refuses_options_that_contradict_each_other(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        dataclasses.replace(SMALL, **changes)
    assert str(caught.value) == message

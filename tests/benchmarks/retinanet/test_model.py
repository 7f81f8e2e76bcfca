"""RetinaNet against the reference in PyTorch, with the same weights; see `reference_oracle`."""

import dataclasses
import math
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.detection.network import drawn_weights, pytorch_names
from tfperf.benchmarks.detection import matching
from tfperf.benchmarks.detection.anchors import anchors
from tfperf.benchmarks.detection.coding import RETINANET_CODING, encode
from tfperf.benchmarks.retinanet import model as retinanet
from tfperf.benchmarks.retinanet.options import RetinaNetOptions

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "retinanet_outputs.npz"
SMALL = RetinaNetOptions(
    image_size=96, blocks=(1, 1, 1, 1), width=8, groups=4, pyramid_width=16, head_layers=1, classes=3, trained_stages=5
)
# Layers here -> modules of the reference.
NAMES = (
    ("(conv1|bn1)", r"backbone.body.\1"),
    ("(layer.)_(.)_((conv|bn).)", r"backbone.body.\1.\2.\3"),
    ("(layer.)_(.)_downsample_conv", r"backbone.body.\1.\2.downsample.0"),
    ("(layer.)_(.)_downsample_bn", r"backbone.body.\1.\2.downsample.1"),
    ("fpn_(inner|layer)(.)", r"backbone.fpn.\1_blocks.\2"),
    ("fpn_(p.)", r"backbone.fpn.extra_blocks.\1"),
    *((f"class_conv{number}", f"head.classification_head.conv.{2 * number}") for number in range(4)),
    *((f"box_conv{number}", f"head.regression_head.conv.{2 * number}") for number in range(4)),
    ("class_predicted", "head.classification_head.cls_logits"),
    ("box_predicted", "head.regression_head.bbox_reg"),
)


@pytest.fixture(scope="module")
def full() -> keras.Model:
    """The network of full width for small images, since a convolution's weights don't depend on their size."""
    keras.utils.set_random_seed(0)
    return retinanet.network(RetinaNetOptions(image_size=160))


@pytest.fixture(scope="module")
def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    return retinanet.network(SMALL)


def test_starts_from_the_reference_s_distributions(full: keras.Model) -> None:
    for layer in full.layers:
        if not isinstance(layer, keras.layers.Conv2D):
            continue
        kernel = layer.kernel.numpy()
        rows, columns, channels, filters = kernel.shape
        if not layer.use_bias:
            assert kernel.std() == pytest.approx(math.sqrt(2 / (rows * columns * filters)), rel=0.05)
        elif layer.name.startswith("fpn"):
            bound = math.sqrt(3 / (rows * columns * channels))
            assert 0.99 * bound < np.abs(kernel).max() <= bound
            assert (layer.bias.numpy() == 0).all()
        else:
            assert kernel.std() == pytest.approx(0.01, rel=0.02)
            expected = -math.log(99) if layer.name == "class_predicted" else 0
            np.testing.assert_allclose(layer.bias.numpy(), expected, rtol=1e-6)


def test_freezes_the_norms_and_the_first_stages(full: keras.Model) -> None:
    trained = {variable.path.partition("/")[0] for variable in full.trainable_variables}
    assert not [name for name in trained if "bn" in name or name.startswith(("conv1", "layer1"))]
    assert {"layer2_0_conv1", "layer4_2_conv3", "layer2_0_downsample_conv", "fpn_p7", "box_predicted"} <= trained


def test_frozen_norms_keep_their_statistics_in_training(small: keras.Model) -> None:
    images = drawn_weights.images(2, 96)
    before = [variable.numpy() for variable in small.non_trainable_variables]
    assert len(before) == 4 * sum(isinstance(layer, keras.layers.BatchNormalization) for layer in small.layers)
    trained, answered = small(images, training=True), small(images, training=False)
    for variable, value in zip(small.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    np.testing.assert_array_equal(trained["logits"], answered["logits"])


def test_equals_the_reference(full: keras.Model) -> None:
    with np.load(GOLDEN) as golden:
        anchors, trainable, total = (int(golden[name]) for name in ("anchors", "trainable", "total"))
        expected = {name: golden[name] for name in ("offsets", "logits")}
    assert sum(math.prod(variable.shape) for variable in full.trainable_variables) == trainable
    assert sum(math.prod(variable.shape) for variable in full.weights) == total
    pytorch_names.fill(full, NAMES)
    found = full(drawn_weights.images(1, 160), training=False)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].shape == (1, anchors, values.shape[-1])
        kept = found[name].numpy()[:, drawn_weights.some_rows(anchors, wanted=60)]
        np.testing.assert_allclose(kept, values, atol=1e-5 * np.ptp(values), rtol=0)


def test_levels_have_the_reference_s_anchors() -> None:
    options = RetinaNetOptions()
    assert options.grids == (100, 50, 25, 13, 7)
    assert sum(grid**2 for grid in options.grids) * options.anchors_per_cell == 120_087


def test_builds_for_a_size_whose_levels_don_t_halve_evenly() -> None:
    options = dataclasses.replace(SMALL, image_size=100)
    anchors = 9 * sum(grid**2 for grid in options.grids)
    model = retinanet.network(options)
    assert {name: output.shape for name, output in model.output.items()} == {
        "offsets": (None, anchors, 4),
        "logits": (None, anchors, 3),
    }


def test_xla_compiles_it_to_the_same_outputs(small: keras.Model) -> None:
    images = drawn_weights.images(2, 96)
    compiled = tf.function(lambda taken: small(taken, training=False), jit_compile=True)
    expected = small(images, training=False)
    for name, values in compiled(images).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5)


def test_is_the_same_after_saving(tmp_path: pathlib.Path) -> None:
    keras.utils.set_random_seed(2)
    model, images = retinanet.build(SMALL), drawn_weights.images(1, 96)
    assert model.output.shape == (None, 300, 6)
    model.save(tmp_path / "retinanet.keras")
    again = keras.models.load_model(tmp_path / "retinanet.keras")
    assert len(again.trainable_variables) == len(model.trainable_variables)
    for training in (False, True):
        np.testing.assert_array_equal(again(images, training=training), model(images, training=training))


def test_the_loss_is_that_of_matched_anchors() -> None:
    references = anchors(retinanet.layout(SMALL)) / 96
    inside = np.flatnonzero((references >= 0).all(1) & (references <= 1).all(1))
    chosen = [int(inside[0]), int(inside[-1])]
    objects = np.concatenate((references[chosen], [[1], [2]]), axis=1)
    nothing = np.array([[0, 0, 0, 0, -1], [0.4, 0.4, 0.4, 0.9, 1]])  # padding, and a box without area
    targets = np.stack((objects, nothing)).astype("float32")
    logits = np.full((2, len(references), 3), -20, np.float32)
    offsets = np.zeros((2, len(references), 4), np.float32)
    loss = retinanet.RetinaNetLoss(SMALL)
    missed = loss.call(targets, np.concatenate((offsets, logits), -1)).numpy()
    assert missed[0] > 1
    assert missed[1] == pytest.approx(0, abs=1e-5)
    pixels = tf.constant(96 * targets[0, :, :4])
    match = matching.match_by_thresholds(pixels, tf.constant([True, True]), 96 * references).numpy()
    for anchor in np.flatnonzero(match >= 0):
        offsets[0, anchor] = encode(pixels[match[anchor]], 96 * references[anchor], RETINANET_CODING)
        logits[0, anchor, int(targets[0, match[anchor], 4])] = 20
    found = loss.call(targets, np.concatenate((offsets, logits), -1)).numpy()
    np.testing.assert_allclose(found, [0, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": (1, 1, 1)}, "blocks must be 4 positive counts, got (1, 1, 1)."),
        ({"groups": 3}, "groups must be a divisor of 2 * width = 16, got 3."),
        ({"trained_stages": 6}, "trained_stages must be 0 to 5, got 6."),
        (
            {"sizes": ((1,), (2,))},
            "sizes must be 5 tuples of equally many lengths above 0, got ((1,), (2,)).",
        ),
        ({"ratios": ()}, "ratios must be one or more numbers above 0, got ()."),
    ],
)
def test_refuses_options_that_contradict_each_other(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        dataclasses.replace(SMALL, **changes)
    assert str(caught.value) == message

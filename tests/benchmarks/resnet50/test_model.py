"""The ResNet against the published counts, a second library's ResNet-50, and its reference's definition."""

import collections
import math

import keras
import numpy as np
import pytest

from tfperf.benchmarks import resnet50
from tfperf.benchmarks.resnet50 import model as resnet
from tfperf.benchmarks.resnet50.options import Options

MINI = resnet50.MINI.training.options


@pytest.fixture(scope="module")
def full():
    keras.utils.set_random_seed(0)
    return resnet.build(Options())


@pytest.fixture
def mini():
    keras.utils.set_random_seed(0)
    return resnet.build(MINI)


def _convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def _kernels_and_images(model):
    """How often each pair of kernel shape and output image size occurs."""
    return collections.Counter((tuple(c.kernel.shape), c.output.shape[1]) for c in _convolutions(model))


def test_has_as_many_parameters_as_published(full):
    assert sum(math.prod(variable.shape) for variable in full.trainable_variables) == 25_557_032
    assert sum(math.prod(variable.shape) for variable in full.non_trainable_variables) == 53_120


def test_has_the_layers_of_keras_resnet50_but_for_the_strides_of_version_1_5(full):
    version_1 = keras.applications.ResNet50(weights=None)
    shapes = collections.Counter(tuple(c.kernel.shape) for c in _convolutions(full))
    assert shapes == collections.Counter(tuple(c.kernel.shape) for c in _convolutions(version_1))
    # Version 1 halves the image in the 1x1 convolution that opens stages 3 to 5, version 1.5 in the 3x3 after it.
    moved = {
        (1, 1, 256, 128): (28, 56),
        (1, 1, 512, 256): (14, 28),
        (1, 1, 1024, 512): (7, 14),
    }
    expected = _kernels_and_images(version_1)
    for kernel, (early, late) in moved.items():
        expected[kernel, early] -= 1
        expected[kernel, late] += 1
    assert _kernels_and_images(full) == +expected


def test_only_the_reference_s_convolutions_have_a_stride(full):
    strided = {c.name: (c.kernel_size[0], c.strides[0]) for c in _convolutions(full) if c.strides != (1, 1)}
    assert strided == {
        "conv1": (7, 2),
        "res3a_branch2b": (3, 2),
        "res3a_branch1": (1, 2),
        "res4a_branch2b": (3, 2),
        "res4a_branch1": (1, 2),
        "res5a_branch2b": (3, 2),
        "res5a_branch1": (1, 2),
    }


def test_pads_the_stem_as_the_reference_does(full):
    sizes = {layer.name: layer.output.shape[1:3] for layer in full.layers}
    assert sizes["conv1_pad"] == (230, 230)
    assert sizes["conv1"] == (112, 112)
    pool = next(layer for layer in full.layers if isinstance(layer, keras.layers.MaxPooling2D))
    assert (pool.pool_size, pool.strides, pool.padding) == ((3, 3), (2, 2), "same")
    assert sizes["res5c_branch2c"] == (7, 7)


def test_batch_normalisation_is_the_reference_s(full):
    norms = [layer for layer in full.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 53
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.9, 1e-5)}
    assert all((norm.gamma.numpy() == 1).all() and (norm.beta.numpy() == 0).all() for norm in norms)


def test_starts_from_the_reference_s_distributions(full):
    for convolution in _convolutions(full):
        assert not convolution.use_bias
        kernel = convolution.kernel.numpy()
        scale = math.sqrt(2 / math.prod(kernel.shape[:3]))
        assert kernel.std() == pytest.approx(scale, rel=0.05)
        assert np.abs(kernel).max() <= 2 * scale / 0.8796256610342398 * (1 + 1e-6)  # truncated at two deviations
    head = full.get_layer("fc1000")
    assert head.kernel.numpy().std() == pytest.approx(0.01, rel=0.01)
    assert np.abs(head.kernel.numpy()).max() > 0.04  # not truncated
    assert (head.bias.numpy() == 0).all()


def test_names_variables_so_that_lars_and_sgd_tell_them_apart(full):
    undecayed = {variable.path for variable in full.trainable_variables if "bn" in variable.path}
    assert len(undecayed) == 2 * 53
    assert all(path.startswith("bn") and path.endswith(("/gamma", "/beta")) for path in undecayed)
    assert [v.path for v in full.trainable_variables if "bias" in v.path] == ["fc1000/bias"]
    assert {"conv1/kernel", "bn_conv1/gamma", "res2a_branch1/kernel", "bn5c_branch2c/beta", "fc1000/kernel"} <= {
        variable.path for variable in full.trainable_variables
    }


def test_a_small_one_comes_from_the_same_code(mini):
    assert mini.input_shape == (None, 64, 64, 3)
    assert mini.output_shape == (None, 8)
    assert len(_convolutions(mini)) == 1 + 4 * 4
    assert mini.get_layer("res5a_branch2c").output.shape == (None, 2, 2, 512)


def test_names_more_blocks_than_the_alphabet_has_letters():
    names = {layer.name for layer in resnet.build(Options(image_size=32, blocks=(28,), width=1)).layers}
    assert {"res2a_branch2a", "res2z_branch2a", "res2a1_branch2a", "res2b1_branch2a"} <= names


def test_gives_probabilities(mini):
    probabilities = mini(np.random.default_rng(0).normal(size=(3, 64, 64, 3)), training=False).numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(("name", "compute"), [("mixed_bfloat16", "bfloat16"), ("mixed_float16", "float16")])
def test_computes_in_the_policy_s_type_and_ends_in_float32(policy, name, compute):
    policy(name)
    model = resnet.build(MINI)
    assert {layer.compute_dtype for layer in _convolutions(model)} == {compute}
    assert model.get_layer("fc8").compute_dtype == compute
    assert model.get_layer("probabilities").compute_dtype == "float32"
    assert {variable.dtype for variable in model.variables} == {"float32"}
    assert model(np.zeros((1, 64, 64, 3), np.float32)).dtype == "float32"


def _logits_to_probabilities(classes):
    """A model as short as can be that ends as the ResNet does."""
    logits = keras.Input((classes,))
    return keras.Model(logits, keras.layers.Activation("softmax", dtype="float32")(logits))


def _cross_entropy(logits, labels, *, smoothing):
    classes = logits.shape[1]
    targets = np.eye(classes)[labels] * (1 - smoothing) + smoothing / classes
    log_softmax = (
        logits
        - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
        - logits.max(1, keepdims=True)
    )
    return -(targets * log_softmax).sum(axis=1)


@pytest.mark.parametrize("weights", [None, [1.0, 1.0, 0.0, 0.0]])
def test_the_loss_is_the_weighted_mean_cross_entropy_of_smoothed_labels(weights):
    logits, labels = np.random.default_rng(0).normal(size=(4, 5)), np.array([0, 1, 2, 4])
    logits[0] = [-60, 0, 0, 0, 0]  # a probability that rounds to 0: its loss is exact, not cut off
    model = _logits_to_probabilities(5)
    resnet.compile_model(model, keras.optimizers.SGD(), Options(classes=5))
    result = model.evaluate(
        logits, np.eye(5)[labels], sample_weight=weights and np.array(weights), verbose=0, return_dict=True
    )
    losses = _cross_entropy(logits, labels, smoothing=0.1)
    correct = logits.argmax(axis=1) == labels
    assert result["loss"] == pytest.approx(np.average(losses, weights=weights), rel=1e-5)
    assert result["accuracy"] == pytest.approx(np.average(correct, weights=weights))


@pytest.mark.slow
def test_learns_by_ordinary_fit():
    options = Options(image_size=32, blocks=(1, 1), width=8, classes=2)
    keras.utils.set_random_seed(0)
    model = resnet.build(options)
    labels = np.arange(32) % 2
    images = np.random.default_rng(0).normal(size=(32, 32, 32, 3)) + labels[:, None, None, None]
    resnet.compile_model(model, keras.optimizers.SGD(0.1, momentum=0.9), options)
    history = model.fit(images, np.eye(2)[labels], batch_size=16, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert not model.jit_compile


@pytest.mark.parametrize(("policy", "dtype"), [("mixed_bfloat16", "bfloat16"), ("mixed_float16", "float16")])
def test_images_in_the_type_that_it_computes_in_change_nothing(policy, dtype):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        model = resnet.build(MINI)
        images = 100 * np.random.default_rng(1).normal(size=(2, MINI.image_size, MINI.image_size, 3)).astype("float32")
        whole, half = (np.asarray(model(keras.ops.cast(images, kind), training=True)) for kind in ("float32", dtype))
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_array_equal(half, whole)

"""Backbones from files with torchvision's names; the names themselves are in the golden files of whole networks."""

import math
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
import safetensors.numpy

from tests.benchmarks.detection.network import drawn_weights
from tfperf.benchmarks.detection.network import residual, torchvision
from tfperf.benchmarks.detection.network.residual import Backbone
from tfperf.benchmarks.retinanet import model as retinanet
from tfperf.benchmarks.retinanet.options import RetinaNetOptions
from tfperf.benchmarks.ssd import initial
from tfperf.benchmarks.ssd import model as ssd
from tfperf.benchmarks.ssd.options import SsdOptions
from tfperf.errors import TfperfError
from tfperf.training import initial_weights

SMALL = SsdOptions(
    image_size=48,
    blocks=(1, 2, 1),
    width=4,
    classes=2,
    extra_widths=(8,),
    extra_strides=(2,),
    steps=(8, 16),
    scales=(8, 16, 32),
    ratios=((), (2,)),
    backbone="resnet.safetensors",
)
Tensors = dict[str, np.ndarray]


def tensors_of(backbone: Backbone) -> Tensors:
    """A file's tensors, with a classifier and a stage that SSD lacks."""
    found = {}
    for variable, shape in residual.shapes(backbone).items():
        name = torchvision.name_of(variable)
        found[name] = drawn_weights.tensor(name, (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape)
    counter = np.array(3, np.int64)
    further = {"layer4.0.conv1.weight": np.ones((2, 2, 3, 3), np.float32), "bn1.num_batches_tracked": counter}
    return {**found, **further, "fc.weight": np.ones((5, 4), np.float32), "fc.bias": np.ones(5, np.float32)}


def write(path: pathlib.Path, tensors: Tensors) -> None:
    if path.suffix == ".npz":
        np.savez(path, **tensors)
    else:
        safetensors.numpy.save_file(tensors, path)


@pytest.mark.parametrize("file", ["resnet.safetensors", "resnet.npz"])
def test_sets_the_backbone_and_leaves_the_rest(file: str, tmp_path: pathlib.Path) -> None:
    options = SsdOptions(**{**vars(SMALL), "backbone": file})
    tensors = tensors_of(ssd.backbone(options))
    write(tmp_path / file, tensors)
    model = ssd.build(options)
    before = {variable.path: variable.numpy() for variable in model.weights}
    weights = initial.initial_weights(options, tmp_path)
    initial_weights.assign(model, weights)
    set_ones = 0
    for variable in model.weights:
        if variable.path.startswith(("conv1", "bn1", "layer")):
            expected = tensors[torchvision.name_of(variable.path)]
            expected = expected.transpose(2, 3, 1, 0) if expected.ndim == 4 else expected
            set_ones += 1
        else:
            expected = before[variable.path]
        np.testing.assert_array_equal(variable, expected)
    assert set_ones == len(residual.shapes(ssd.backbone(options)))


def test_a_model_without_weights_keeps_its_initialisers() -> None:
    assert initial.initial_weights(SsdOptions(), None) is None


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("conv1/kernel", "conv1.weight"),
        ("bn1/moving_variance", "bn1.running_var"),
        ("layer1_0_conv2/kernel", "layer1.0.conv2.weight"),
        ("layer3_12_bn3/gamma", "layer3.12.bn3.weight"),
        ("layer2_0_downsample_conv/kernel", "layer2.0.downsample.0.weight"),
        ("layer2_0_downsample_bn/moving_mean", "layer2.0.downsample.1.running_mean"),
    ],
)
def test_names_are_torchvision_s(variable: str, name: str) -> None:
    assert torchvision.name_of(variable) == name


def test_shapes_are_those_of_the_models() -> None:
    wide = RetinaNetOptions(image_size=64, blocks=(1, 2, 1, 1), width=8, groups=4, pyramid_width=4, head_layers=0)
    for model, backbone in (
        (ssd.network(SMALL), ssd.backbone(SMALL)),
        (retinanet.network(wide), retinanet.backbone(wide)),
    ):
        of_model = {
            variable.path: tuple(variable.shape)
            for variable in model.weights
            if variable.path.startswith(("conv1", "bn1", "layer"))
        }
        assert residual.shapes(backbone) == of_model


def test_counts_of_parameters_are_torchvision_s_without_the_classifier() -> None:
    # https://docs.pytorch.org/vision/stable/models.html: 21,797,672 and 25,028,904, of which a classifier of 1000.
    for backbone, expected, features in (
        (Backbone(block="basic", blocks=(3, 4, 6, 3), strides=(1, 2, 2, 2)), 21_797_672, 512),
        (retinanet.backbone(RetinaNetOptions()), 25_028_904, 2048),
    ):
        shapes = residual.shapes(backbone)
        trained = sum(math.prod(shape) for path, shape in shapes.items() if "moving" not in path)
        assert trained + 1000 * (features + 1) == expected


def without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("layer2.1.bn2.bias"), "Missing: layer2.1.bn2.bias. Choose"),
        (
            lambda tensors: {**tensors, "layer1.1.conv1.weight": np.ones((4, 4, 3, 3), np.float32)},
            "Not of this network: layer1.1.conv1.weight. Choose",
        ),
        (
            lambda tensors: {**tensors, "conv1.weight": np.ones((8, 3, 7, 7), np.float32)},
            "Wrong shape: conv1.weight (got (8, 3, 7, 7), expected (4, 3, 7, 7)). Choose",
        ),
        (
            lambda tensors: {**tensors, "bn1.weight": np.full(4, np.nan, np.float32)},
            "bn1.weight in PATH has values that are not finite.",
        ),
        (
            lambda tensors: {**tensors, "bn1.weight": np.ones(4, np.int64)},
            "bn1.weight in PATH must be floating-point numbers, got int64.",
        ),
    ],
)
def test_names_what_does_not_fit(change: Callable[[Tensors], Tensors], message: str, tmp_path: pathlib.Path) -> None:
    write(tmp_path / "resnet.safetensors", change(tensors_of(ssd.backbone(SMALL))))
    with pytest.raises(TfperfError) as caught:
        initial.initial_weights(SMALL, tmp_path)
    assert message in str(caught.value).replace(str(tmp_path / "resnet.safetensors"), "PATH")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.npz", None, "There are no weights at PATH: the file does not exist."),
        ("resnet34.pth", b"any", "PATH is not a file of weights that can be read. Give a .safetensors or .npz file;"),
        ("cut.safetensors", b"\x10\0\0\0\0\0\0\0{", "PATH can't be read:"),
        ("cut.npz", b"PK\x03\x04 and no more", "PATH can't be read:"),
        (
            "lfs.npz",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "PATH is a pointer of Git LFS",
        ),
    ],
)
def test_a_file_that_is_not_readable_is_told(
    name: str, content: bytes | None, message: str, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TfperfError) as caught:
        torchvision.read(path, ssd.backbone(SMALL))
    assert str(caught.value).replace(str(path), "PATH").startswith(message)


def test_weights_that_are_not_there_are_missed_before_anything_is_built(tmp_path: pathlib.Path) -> None:
    for data_dir, message in (
        (None, "backbone: resnet.safetensors is a path in the data directory. Pass --data_dir."),
        (tmp_path, f"backbone: there are no weights at {tmp_path / 'resnet.safetensors'}."),
    ):
        with pytest.raises(TfperfError) as caught:
            torchvision.find(SMALL.backbone, data_dir)
        assert str(caught.value) == message

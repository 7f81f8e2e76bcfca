"""The residual networks that detectors stand on, as torchvision builds them, without their classifiers.

Source: `torchvision/models/resnet.py` of https://github.com/pytorch/vision, which MLPerf's detectors take their weights
from. Layers are named after it: `layer2.0.conv1` is `layer2_0_conv1` here. As in torchvision, a convolution pads both
sides alike, and the 3x3 one of a bottleneck has the stride.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import keras

from tfperf.benchmarks.detection.network.grouped import GroupedConvolution

BlockKind = Literal["basic", "bottleneck"]

_STAGES = 4
_MOMENTUM, _EPSILON = 0.9, 1e-5  # PyTorch's defaults; its momentum of 0.1 is the share of the new value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backbone:
    """A residual network.

    Attributes:
        block: two 3x3 convolutions, or one between two 1x1 convolutions.
        blocks: in each stage, 1 to 4 stages.
        strides: of the first block of each stage.
        width: filters of the first convolution; the stages have width * (1, 2, 4, 8), and bottlenecks end with 4 times
            as many.
        groups: of the 3x3 convolution of a bottleneck.
        widening: how many times as wide the 3x3 convolution of a bottleneck is.
        frozen_norms: whether batch normalisation uses the statistics that were loaded and is not trained.
        trained_stages: how many of the last stages are trained, of all four; 5 trains the first convolution too.
    """

    block: BlockKind
    blocks: tuple[int, ...]
    strides: tuple[int, ...]
    width: int = 64
    groups: int = 1
    widening: int = 1
    frozen_norms: bool = False
    trained_stages: int = _STAGES + 1


def stages(images: keras.KerasTensor, backbone: Backbone) -> tuple[keras.KerasTensor, ...]:
    """Adds a residual network to a functional model.

    Args:
        images: [n, height, width, 3].
        backbone: the network.

    Returns:
        What comes out of each stage, [n, rows, columns, filters].
    """
    stem = backbone.trained_stages > _STAGES
    features = convolution(images, backbone.width, kernel=7, stride=2, name="conv1", trainable=stem)
    features = _relu(_norm(features, backbone, "bn1", trainable=stem), "bn1")
    # After ReLU nothing is below the zeros that pad.
    padded = keras.layers.ZeroPadding2D(1, name="pool1_pad")(features)
    features = keras.layers.MaxPooling2D(3, strides=2, padding="valid", name="pool1")(padded)
    found = []
    for stage, (blocks, stride) in enumerate(zip(backbone.blocks, backbone.strides, strict=True)):
        part = _Part(backbone=backbone, stage=stage)
        for number in range(blocks):
            features = part.block(features, number, stride=1 if number else stride)
        found.append(features)
    return tuple(found)


def shapes(backbone: Backbone) -> Mapping[str, tuple[int, ...]]:
    """The shape of each variable of a residual network, by its path."""
    found = {"conv1/kernel": (7, 7, 3, backbone.width), **_norm_shapes("bn1", backbone.width)}
    channels = backbone.width
    for stage, (blocks, first_stride) in enumerate(zip(backbone.blocks, backbone.strides, strict=True)):
        planes = backbone.width * 2**stage
        for number in range(blocks):
            name = f"layer{stage + 1}_{number}"
            kernels: tuple[tuple[int, int, int], ...]
            if backbone.block == "basic":
                wide, kernels = planes, ((3, channels, planes), (3, planes, planes))
            else:
                wide, narrow = 4 * planes, planes * backbone.widening
                kernels = ((1, channels, narrow), (3, narrow // backbone.groups, narrow), (1, narrow, wide))
            for place, (kernel, taken, filters) in enumerate(kernels, start=1):
                found[f"{name}_conv{place}/kernel"] = (kernel, kernel, taken, filters)
                found |= _norm_shapes(f"{name}_bn{place}", filters)
            if channels != wide or (number == 0 and first_stride > 1):
                found[f"{name}_downsample_conv/kernel"] = (1, 1, channels, wide)
                found |= _norm_shapes(f"{name}_downsample_bn", wide)
            channels = wide
    return found


def convolution(
    features: keras.KerasTensor,
    filters: int,
    *,
    kernel: int,
    name: str,
    stride: int = 1,
    groups: int = 1,
    trainable: bool = True,
) -> keras.KerasTensor:
    """A convolution without bias, padded by half its kernel on each side as PyTorch does."""
    if stride > 1 and kernel > 1:
        features = keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(features)
    layer = keras.layers.Conv2D if groups == 1 else GroupedConvolution
    return layer(
        filters,
        kernel,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        groups=groups,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal"),
        data_format="channels_last",
        trainable=trainable,
        name=name,
    )(features)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Part:
    """A stage while it is added."""

    backbone: Backbone
    stage: int

    @property
    def _trained(self) -> bool:
        return self.stage >= _STAGES - self.backbone.trained_stages

    def block(self, features: keras.KerasTensor, number: int, *, stride: int) -> keras.KerasTensor:
        """Convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""
        name, planes = f"layer{self.stage + 1}_{number}", self.backbone.width * 2**self.stage
        bottleneck = self.backbone.block == "bottleneck"
        wide = 4 * planes if bottleneck else planes
        residual = (self._bottleneck if bottleneck else self._basic)(features, name, planes, stride=stride)
        if stride > 1 or features.shape[-1] != wide:
            features = self._normed(features, wide, f"{name}_downsample", kernel=1, stride=stride)
        return _relu(keras.layers.Add(name=f"{name}_add")([residual, features]), name)

    def _basic(self, features: keras.KerasTensor, name: str, planes: int, *, stride: int) -> keras.KerasTensor:
        residual = _relu(self._normed(features, planes, name, "1", kernel=3, stride=stride), f"{name}_1")
        return self._normed(residual, planes, name, "2", kernel=3)

    def _bottleneck(self, features: keras.KerasTensor, name: str, planes: int, *, stride: int) -> keras.KerasTensor:
        narrow, groups = planes * self.backbone.widening, self.backbone.groups
        residual = _relu(self._normed(features, narrow, name, "1", kernel=1), f"{name}_1")
        residual = self._normed(residual, narrow, name, "2", kernel=3, stride=stride, groups=groups)
        return self._normed(_relu(residual, f"{name}_2"), 4 * planes, name, "3", kernel=1)

    def _normed(
        self,
        features: keras.KerasTensor,
        filters: int,
        name: str,
        number: str = "",
        *,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
    ) -> keras.KerasTensor:
        features = convolution(
            features,
            filters,
            kernel=kernel,
            stride=stride,
            groups=groups,
            name=f"{name}_conv{number}",
            trainable=self._trained,
        )
        return _norm(features, self.backbone, f"{name}_bn{number}", trainable=self._trained)


def _norm(features: keras.KerasTensor, backbone: Backbone, name: str, *, trainable: bool) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(
        momentum=_MOMENTUM, epsilon=_EPSILON, trainable=trainable and not backbone.frozen_norms, name=name
    )(features)


def _norm_shapes(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}/{part}": (width,) for part in ("gamma", "beta", "moving_mean", "moving_variance")}


def _relu(features: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.Activation("relu", name=f"{name}_relu")(features)

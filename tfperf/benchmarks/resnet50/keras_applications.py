"""Weights of keras.applications' ResNet50, which can be served in place of the benchmark's model."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from tfperf.benchmarks.benchmark import ForeignWeights
from tfperf.benchmarks.resnet50.options import Options

if TYPE_CHECKING:
    import keras


def _is_resnet50_v1(layers: Collection[str]) -> bool:
    """By the layers: deeper models have conv4_block7, and V2 has a first activation."""
    return (
        {"conv1_conv", "conv4_block6_1_conv", "conv5_block3_3_conv"} <= set(layers)
        and "conv4_block7_1_conv" not in layers
        and "conv2_block1_preact_bn" not in layers
    )


def _build_model(options: Options) -> keras.Model:
    import keras

    model: keras.Model = keras.applications.ResNet50(
        weights=None, input_shape=(options.image_size, options.image_size, 3), classes=options.classes
    )
    return model


def _take_rgb(model: keras.Model) -> None:
    """Lets it take red, green and blue less their means: its own input is blue, green and red.

    Reversed in the first kernel, the channels cost nothing. The means differ by a thousandth of a grey level.
    """
    first = model.get_layer("conv1_conv")
    first.kernel.assign(np.flip(first.kernel.numpy(), axis=2))


RESNET50 = ForeignWeights(
    kind="keras_applications",
    model="keras.applications' ResNet50",
    note=(
        "keras.applications' ResNet50 is v1, with the stride in the 1x1 convolutions. The closed division requires "
        "v1.5, so this model is for open and internal runs only"
    ),
    recognise=_is_resnet50_v1,
    build_model=_build_model,
    adapt=_take_rgb,
)

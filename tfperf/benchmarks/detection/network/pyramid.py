"""The feature pyramid of RetinaNet, as MLPerf's reference builds it.

Source: `model/feature_pyramid_network.py` of
https://github.com/mlcommons/training/tree/master/retired_benchmarks/retinanet/ssd.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras


def pyramid(features: Sequence[keras.KerasTensor], width: int) -> tuple[keras.KerasTensor, ...]:
    """Adds a feature pyramid to a functional model.

    Each level adds the next coarser one to its own features. Two further levels halve the coarsest one and halve again,
    the second after ReLU.

    Args:
        features: of the backbone's last stages, each half as large as the one before.
        width: filters of every level.

    Returns:
        The levels, the largest first: one for each of the features, and two more.
    """
    levels: list[keras.KerasTensor] = []
    coarser: keras.KerasTensor | None = None
    for number in reversed(range(len(features))):
        summed = _convolution(features[number], width, kernel=1, name=f"fpn_inner{number}")
        if coarser is not None:
            summed = keras.layers.Add(name=f"fpn_add{number}")([summed, _enlarged(coarser, summed, number)])
        coarser = summed
        levels.insert(0, _convolution(summed, width, kernel=3, name=f"fpn_layer{number}"))
    p6 = _convolution(levels[-1], width, kernel=3, stride=2, name="fpn_p6")
    p7 = _convolution(keras.layers.Activation("relu", name="fpn_p6_relu")(p6), width, kernel=3, stride=2, name="fpn_p7")
    return (*levels, p6, p7)


def _enlarged(coarse: keras.KerasTensor, fine: keras.KerasTensor, number: int) -> keras.KerasTensor:
    """The nearest values of the coarser level, at the size of the finer one; PyTorch takes the same of an odd size."""
    doubled = keras.layers.UpSampling2D(2, interpolation="nearest", name=f"fpn_enlarged{number}")(coarse)
    surplus = [doubled.shape[axis] - fine.shape[axis] for axis in (1, 2)]
    if not any(surplus):
        return doubled
    return keras.layers.Cropping2D(tuple((0, each) for each in surplus), name=f"fpn_cropped{number}")(doubled)


def _convolution(
    features: keras.KerasTensor, width: int, *, kernel: int, name: str, stride: int = 1
) -> keras.KerasTensor:
    """A convolution with bias; He's uniform distribution with a = 1, as PyTorch computes it."""
    if stride > 1:
        features = keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(features)
    return keras.layers.Conv2D(
        width,
        kernel,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        kernel_initializer=keras.initializers.VarianceScaling(1.0, mode="fan_in", distribution="uniform"),
        data_format="channels_last",
        name=name,
    )(features)

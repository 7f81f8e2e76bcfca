"""The rows that a head predicts, one for each reference box, in the order of the reference boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import keras

Order = Literal["cell", "shape"]


def rows(predicted: keras.KerasTensor, values: int, *, order: Order, name: str) -> keras.KerasTensor:
    """Turns what a convolution predicts for one feature map into rows.

    Args:
        predicted: [n, rows, columns, boxes * values], the values of a box beside each other.
        values: for each box.
        order: `cell` gives the boxes of the first cell first, as RetinaNet does, `shape` the first box of all cells, as
            SSD does. Cells go row by row.
        name: of the layers.

    Returns:
        [n, rows * columns * boxes, values].
    """
    height, width, filters = predicted.shape[1:]
    boxes = filters // values
    if order == "shape" and boxes > 1:
        split = keras.layers.Reshape((height * width, boxes, values), name=f"{name}_cells")(predicted)
        predicted = keras.layers.Permute((2, 1, 3), name=f"{name}_shapes")(split)
    return keras.layers.Reshape((height * width * boxes, values), name=f"{name}_rows")(predicted)


def joined(of_maps: Sequence[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """The rows of all feature maps in float32, one map after the other, as the output called `name`."""
    together = keras.layers.Concatenate(axis=1, name=f"{name}_joined")(of_maps) if len(of_maps) > 1 else of_maps[0]
    return keras.layers.Activation("linear", dtype="float32", name=name)(together)

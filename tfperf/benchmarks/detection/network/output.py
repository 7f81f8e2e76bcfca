"""The last layer of a detector."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import tensorflow as tf

from tfperf.benchmarks.detection.network import packing
from tfperf.benchmarks.detection.suppression import Detections
from tfperf.benchmarks.tensor import Tensor

OFFSETS = 4
"""Values that place and size the box of each reference box."""


class DetectorOutput(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """What the loss needs in training, otherwise the detections.

    Args:
        options: the fields of `options_class`.
        kwargs: of a Keras layer.

    Attributes:
        options_class: the options of the model.
        most: detections in an image, at most.
    """

    options_class: ClassVar[type]
    most: ClassVar[int]

    def __init__(self, *, options: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.options = self.options_class(**options)

    @classmethod
    def tensor(cls) -> Tensor:
        """The detections as an output of a served model."""
        return Tensor(name="detections", shape=(cls.most, packing.VALUES))

    def detections(self, offsets: Any, logits: Any) -> Detections:
        """What is detected from what `call` takes."""
        raise NotImplementedError

    def call(self, offsets: Any, logits: Any, training: bool = False) -> Any:
        """Detects, or joins the predictions.

        Args:
            offsets: float32 [n, reference boxes, 4].
            logits: float32 [n, reference boxes, classes], with the background if the detector has one.
            training: whether the loss follows.

        Returns:
            As `packing.packed`, float32 [n, most, 6]. In training offsets and logits beside each other, float32
            [n, reference boxes, 4 + classes].
        """
        if training:
            return tf.concat((offsets, logits), axis=-1)
        return packing.packed(self.detections(offsets, logits))

    def compute_output_spec(self, offsets: Any, logits: Any, training: bool = False) -> Any:
        """As `call`, without computing."""
        joined = (offsets.shape[1], OFFSETS + logits.shape[2])
        shape = joined if training else (self.most, packing.VALUES)
        return keras.KerasTensor((offsets.shape[0], *shape), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "options": dict(vars(self.options))}

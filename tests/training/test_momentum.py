"""The detectors' optimizers against PyTorch's; see `pytorch_oracle`."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfperf.training.lamb import ReferenceAdam
from tfperf.training.momentum import ReferenceMomentum

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "pytorch_optimizers.json"


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("momentum", lambda: ReferenceMomentum(1.0, momentum=0.9, weight_decay=0.05)),
        ("adam", lambda: ReferenceAdam(1.0, epsilon=1e-3)),
    ],
)
def test_moves_as_pytorch_s_does(name: str, build: Callable[[], Any]) -> None:
    optimizer = build()
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    weight = keras.Variable(np.array(golden["start"], np.float32), name="bn_bias")  # decays like any other
    optimizer.build([weight])
    for rate, gradient, expected in zip(golden["rates"], golden["gradients"], golden[name], strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([tf.constant(gradient, tf.float32)], [weight])
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


def test_without_momentum_only_the_gradient_moves() -> None:
    weight = keras.Variable([1.0, 2.0])
    optimizer = ReferenceMomentum(0.5, momentum=0.0, weight_decay=0.1)
    optimizer.build([weight])
    optimizer.apply([tf.constant([1.0, 1.0])], [weight])
    np.testing.assert_allclose(weight, [1 - 0.5 * 1.1, 2 - 0.5 * 1.2], rtol=1e-6)

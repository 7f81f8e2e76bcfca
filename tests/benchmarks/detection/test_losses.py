"""Losses and their gradients against what MLPerf's references compute with PyTorch."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.detection import drawn
from tests.benchmarks.detection.running import run
from tfperf.benchmarks.detection.losses import DetectionLoss, hardest, retinanet_loss, ssd_loss

Loss = Callable[..., DetectionLoss]


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize(
    ("name", "loss", "seed", "background"), [("ssd", ssd_loss, 1, 0), ("retinanet", retinanet_loss, 2, -1)]
)
def test_values_and_gradients_are_those_of_the_reference(
    name: str, loss: Loss, seed: int, background: int, xla: bool
) -> None:
    golden, given = np.load(drawn.GOLDEN), drawn.predictions(seed, background=background)

    def function(offsets: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch((offsets, logits))
            parts = loss(offsets, logits, true_offsets=given.true_offsets, true_classes=given.true_classes)
            total = parts.boxes + parts.classes
        return total, *tape.gradient(total, (offsets, logits))

    total, by_offsets, by_logits = run(function, given.offsets, given.logits, xla=xla)
    np.testing.assert_allclose(total, golden[f"{name}_loss"], rtol=1e-5)
    np.testing.assert_allclose(by_offsets, golden[f"{name}_loss_by_offsets"], atol=1e-6)
    np.testing.assert_allclose(by_logits, golden[f"{name}_loss_by_logits"], atol=1e-6)


@pytest.mark.parametrize("xla", [False, True])
def test_the_hardest_are_chosen_first_come_first(xla: bool) -> None:
    losses = np.array([(3, 1, 3, 2, 3, 0), (1, 1, 1, 1, 1, 1), (5, 4, 3, 2, 1, 0)], "float32")
    eligible = np.array([(0, 1, 1, 1, 1, 1), (1, 0, 1, 1, 1, 1), (1, 1, 0, 1, 0, 0)], "bool")
    for count, expected in {
        (3, 2, 0): [(0, 0, 1, 1, 1, 0), (1, 0, 1, 0, 0, 0), (0, 0, 0, 0, 0, 0)],
        (1, 5, 9): [(0, 0, 1, 0, 0, 0), (1, 0, 1, 1, 1, 1), (1, 1, 0, 1, 0, 0)],
    }.items():
        chosen = run(hardest, losses, eligible, np.array(count, "float32"), xla=xla)
        assert chosen.astype(int).tolist() == [list(row) for row in expected]


@pytest.mark.parametrize(("loss", "classes"), [(ssd_loss, (0, -1, -1)), (retinanet_loss, (-1, -2, -1))])
def test_a_loss_in_half_precision_is_a_float32(loss: Loss, classes: tuple[int, ...]) -> None:
    logits = tf.cast(tf.fill((1, 3, 2), 20.0), tf.bfloat16)
    parts = loss(logits[..., :1], logits, true_offsets=tf.zeros((1, 3, 4)), true_classes=tf.constant([classes]))
    assert [part.dtype for part in parts] == [tf.float32, tf.float32]
    assert parts.boxes.numpy().tolist() == [0]
    assert np.isfinite(parts.classes.numpy()).all()

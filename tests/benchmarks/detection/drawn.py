"""Inputs that both the oracle of MLPerf's references and the tests draw; NumPy alone."""

import dataclasses
import pathlib

import numpy as np

from tests.benchmarks.detection import arithmetic

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "detection.npz"


@dataclasses.dataclass(frozen=True)
class Objects:
    """The objects of some images: float32 [n, 12, 4] in units of the image, classes int32 [n, 12] from 1, valid."""

    boxes: np.ndarray
    classes: np.ndarray
    valid: np.ndarray


def objects() -> Objects:
    """Three images; the second's boxes lie on a coarse grid, so that many overlaps are equal, some boxes twice."""
    rng = np.random.default_rng(11)
    boxes = arithmetic.random_boxes(rng, 3, 12)
    boxes[1] = arithmetic.grid_boxes(rng, 12)
    boxes[1, 3:6] = boxes[1, :3]
    counts = np.array((12, 12, 2))[:, None]
    return Objects(boxes, rng.integers(1, 81, (3, 12)).astype("int32"), np.arange(12) < counts)


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a detector predicts for some images, and what it should: offsets, logits and true values."""

    offsets: np.ndarray
    logits: np.ndarray
    true_offsets: np.ndarray
    true_classes: np.ndarray


def predictions(seed: int, *, background: int) -> Predictions:
    """Four images of 60 reference boxes and 5 classes; the third has no object, the fourth has 10 ties.

    Args:
        seed: of the values.
        background: the class where there is no object; RetinaNet's may also be ignored, -2.
    """
    rng = np.random.default_rng(seed)
    classes = np.where(rng.random((4, 60)) < 0.15, rng.integers(background + 1, 5, (4, 60)), background)
    if background < 0:
        classes = np.where((rng.random((4, 60)) < 0.2) & (classes < 0), -2, classes)
    classes[2] = background
    logits = rng.normal(0, 2, (4, 60, 5)).astype("float32")
    logits[3, 30:40] = logits[3, 30]
    values = [rng.normal(0, 1.5, (4, 60, 4)).astype("float32") for _ in range(2)]
    return Predictions(values[0], logits, values[1], classes.astype("int32"))


def raw(references: int, classes: int, *, seed: int, mean: float) -> tuple[np.ndarray, np.ndarray]:
    """What a detector predicts for two images: offsets float32 [2, references, 4], logits [2, references, classes].

    Args:
        references: the number of reference boxes.
        classes: the number of logits of each.
        seed: of the values.
        mean: of the logits.
    """
    rng = np.random.default_rng(seed)
    offsets = rng.normal(0, 0.5, (2, references, 4)).astype("float32")
    return offsets, rng.normal(mean, 2, (2, references, classes)).astype("float32")
